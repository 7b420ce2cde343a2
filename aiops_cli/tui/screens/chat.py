"""Chat: a local model that answers about the fleet. It is not there yet, and this says what it will need."""

from __future__ import annotations

from textual.app import ComposeResult

from aiops_cli.tui.board import Board
from aiops_cli.tui.place import Place
from aiops_cli.tui.widgets.document import Document
from aiops_cli.tui.widgets.panel import Panel

TEXT = """\
No model is configured: this version of aiops can't chat yet.

What it will do
  Answer questions about the clusters in scope by asking what the other
  screens ask. Each question it asks is shown, and opens its screen.

What it will need
  A model on this machine or in your network, behind a server of OpenAI's
  chat API (llama.cpp, vLLM, Ollama), whose URL the config will name.
  Nothing will be sent anywhere else.

What it will not do
  Write to clusters or run commands. It will read what you may read.

What answers today
  9  RCA: x ranks the causes of what is wrong, with evidence
  6  Alerts: x on one finds its cause, R what is related to it
"""


class Chat(Board):
    NAME = "chat"

    def content(self) -> ComposeResult:
        self._text = Document(id="explained")
        yield Panel("Chat: no model is configured", self._text)

    def on_mount(self) -> None:
        super().on_mount()
        self._text.show(TEXT)
        self._text.focus()

    def arrive(self, place: Place) -> None:
        """A question has nobody to answer it yet."""
        if place.text:
            self.notify("there is no model to ask yet", severity="warning")

    def place(self) -> Place:
        return Place(self.NAME)


SCREEN = Chat
