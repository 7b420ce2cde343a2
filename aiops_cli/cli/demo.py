"""`aiops demo`: the main job, on the bundled incident."""

from __future__ import annotations

import typer

from aiops_cli.cli.runtime import Session, execute

app = typer.Typer(add_completion=False)


@app.command()
def demo(ctx: typer.Context) -> None:
    """Fleet, alerts, anomalies, ranked root cause and a report, on an incident that was really recorded."""
    ctx.obj.bundle = ctx.obj.bundle or "demo"

    async def body(session: Session) -> int:
        import shutil
        import sys
        from dataclasses import replace
        from datetime import UTC

        from aiops_cli.cli.output_file import write_text
        from aiops_cli.render.alert_views import alert_view
        from aiops_cli.render.analysis_views import anomaly_view
        from aiops_cli.render.causes import causes_text, entity_text
        from aiops_cli.render.cluster_views import health_view
        from aiops_cli.render.markdown_report import markdown
        from aiops_cli.render.output import render
        from aiops_cli.render.plot import plot
        from aiops_cli.services import alerts, anomalies, metrics
        from aiops_cli.services.incident import document
        from aiops_cli.services.inventory import recorded_health
        from aiops_cli.services.investigation import investigate
        from aiops_cli.services.queries import CATALOGUE
        from aiops_cli.services.report_files import save

        bundle = session.bundle
        assert bundle is not None
        width = shutil.get_terminal_size((110, 40)).columns
        style = replace(session.style(), width=width)
        name = bundle.path

        def say(command: str) -> None:
            print(f"\n$ {command}")

        print(
            f"A recorded incident: {len(session.members)} clusters, {(bundle.end - bundle.manifest.start) / 60:.0f} minutes, from real servers."
        )
        print(
            "Each step below is the command above it; `--bundle` makes any command answer from the recording."
        )
        say(f"aiops clusters health --bundle {name}")
        sys.stdout.write(
            render(health_view(), recorded_health(bundle, [m.name for m in session.members]), style)
        )
        say(f"aiops alerts list --bundle {name}")
        active = await alerts.list_alerts(session.members)
        sys.stdout.write(render(alert_view(session.now), active, style))
        window = session.window(bundle.end - bundle.manifest.start)
        errors = CATALOGUE["service-errors"].expr
        say(f"aiops metrics range @service-errors --plot --bundle {name}")
        drawn = await metrics.query_range(session.members, errors, window, session.step(window), session.now)
        loud = sorted(
            drawn.rows, key=lambda r: -max((v for v in r[1].values.tolist() if v == v), default=0.0)
        )[:4]
        sys.stdout.write(
            plot(
                loud,
                title="share of failed requests, the four loudest services",
                width=width,
                height=10,
                zone=session.zone,
            )
        )
        say(f"aiops anomalies detect --all-golden --bundle {name}")
        found = await anomalies.detect(
            session.members,
            [q.expr for q in CATALOGUE.values()],
            window,
            session.step(window),
            session.now,
            skip_missing=True,
        )
        worst = list({(a.cluster, str(a.labels), a.expr): a for a in reversed(found.rows)}.values())[::-1][:8]
        sys.stdout.write(render(anomaly_view(session.zone), found.with_rows(worst), style))
        print(f"The worst finding of each of {len(worst)} series; {len(found.rows)} in all.")
        say(f"aiops rca analyze --bundle {name}")
        result = await investigate(session)
        sys.stdout.write(causes_text(result.causes.rows, session.zone, width))
        made = await document(session, result, found)
        say(f"aiops report generate --type incident --bundle {name}")
        path = save(made).with_suffix(".md")
        write_text(path, markdown(made.items[0], session.zone or UTC), "the report")
        print(f"Report written: {path}")
        if result.causes.rows:
            first = result.causes.rows[0].entity
            print(f"First cause: {entity_text(first)}. Look closer:")
            print(f"  aiops logs query '{{job=\"{first.name}\"}}' -c {first.cluster} --bundle {name}")
            print(f"  aiops traces search --service {first.name} --error -c {first.cluster} --bundle {name}")
        print(f"  aiops metrics range @pool-waiting --plot --bundle {name}")
        print(f"  aiops bundle info {name}")
        print("On your own clusters: aiops clusters health, then aiops rca analyze --since 1h")
        return 0

    execute(ctx, body)
