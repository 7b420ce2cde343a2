"""The incidents that can be recorded: what is broken where, and what happens beside it to mislead."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.incidents.deployment import Shop

Shops = Mapping[str, Shop]


@dataclass(frozen=True)
class Scenario:
    """`inject` breaks `service` in `cluster` and returns at once.

    `distract`, where there is one, is run `DISTRACTION_SECONDS` before: a change that harms nobody.
    """

    name: str
    description: str
    cluster: str
    service: str
    fault: str
    inject: Callable[[Shop], None]
    distract: Callable[[Shops], None]

    @property
    def target(self) -> dict[str, str]:
        return {"cluster": self.cluster, "kind": "service", "name": self.service}


DISTRACTION_SECONDS = 35.0

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            name="pool",
            description=(
                "The ledger's reconciliation stops giving its database connection back. Within seconds the "
                "pool is empty and whoever books an entry waits for a connection until it gives up; payment "
                "and checkout try again, visitors wait long and get errors. A rollout of the catalog in the "
                "same cluster, shortly before, has nothing to do with it."
            ),
            cluster="west",
            service="ledger",
            fault="database connections leaked: pool exhausted",
            inject=lambda shop: shop.break_down("ledger", "leak-connections"),
            distract=lambda shops: shops["west"].roll_out("catalog", "7.3.1"),
        ),
        Scenario(
            name="disk",
            description=(
                "Heap dumps fill the volume on which the cart writes its reservations. Orders fail in "
                "checkout and for visitors, and payment has less to do. A rollout of checkout, shortly "
                "before, has nothing to do with it."
            ),
            cluster="north",
            service="cart",
            fault="volume filled: no space left on device",
            inject=lambda shop: shop.break_down("cart", "keep-dumps"),
            distract=lambda shops: shops["north"].roll_out("checkout", "5.2.1"),
        ),
        Scenario(
            name="rollout",
            description=(
                "Version 2.5.0 of payment looks at every pair of signals to judge an order's risk, and burns "
                "CPU for it. Checkout and visitors wait. A rollout of the cart, shortly before, has nothing "
                "to do with it."
            ),
            cluster="east",
            service="payment",
            fault="bad rollout: new version burns CPU",
            inject=lambda shop: shop.roll_out("payment", "2.5.0"),
            distract=lambda shops: shops["east"].roll_out("cart", "4.0.4"),
        ),
        Scenario(
            name="query",
            description=(
                "Somebody runs a report on the ledger's database again and again, and every booking waits "
                "for it: in the ledger it looks as if its pool were too small. A rollout of the ledger, "
                "shortly before, has nothing to do with it."
            ),
            cluster="east",
            service="ledger-db",
            fault="slow statements block the database",
            inject=lambda shop: shop.break_down("ledger-db", "run-reports"),
            distract=lambda shops: shops["east"].roll_out("ledger", "1.9.3"),
        ),
    )
}
