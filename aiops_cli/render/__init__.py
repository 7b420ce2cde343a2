"""Turns models into text: tables, JSON, CSV, Markdown, charts. Asks nothing, decides nothing."""
