"""The services without a store of their own: frontend, checkout, payment, catalog."""

from __future__ import annotations

import hashlib
import random
import time

from tests.incidents.shop.identity import Identity
from tests.incidents.shop.telemetry import Log
from tests.incidents.shop.web import Json, Refused, Request, Service, UpstreamError

CHARGE_ATTEMPTS = 3
CHARGE_TIMEOUT = 3.0
ORDER_TIMEOUT = 7.0
LEDGER_TIMEOUT = 2.9
PRODUCTS = 400
MISSING_EACH = 25
"""Every so many products have no price: a bug of old, which nobody depends on."""
EXHAUSTIVE_SINCE = (2, 5)
"""The version of payment whose risk model looks at every pair of signals instead of each."""


class Frontend(Service):
    """What the browser asks. A page without the catalog's part is still a page; an order is not."""

    def __init__(self, me: Identity, log: Log) -> None:
        routes = {"GET /cart": self.cart, "POST /orders": self.order, "GET /": self.home}
        super().__init__(me, log, routes)

    def home(self, request: Request) -> Json:
        try:
            return self.call("GET", "catalog", f"/products/{request.rest or 1}")
        except UpstreamError:
            return {"products": None}

    def cart(self, request: Request) -> Json:
        return self._checkout("GET", f"/cart/{request.rest}", {})

    def order(self, request: Request) -> Json:
        return self._checkout("POST", "/orders", request.body)

    def _checkout(self, method: str, path: str, body: Json) -> Json:
        try:
            return self.call(method, "checkout", path, body, timeout=ORDER_TIMEOUT)
        except UpstreamError as error:
            self.log.error(f"{method} {path.split('/')[1]} failed", error, upstream=error.service)
            raise Refused(502 if error.status else 504, "sorry, please try again") from error


class Checkout(Service):
    """Reserves what is in the cart, then charges for it, trying again when a charge fails."""

    def __init__(self, me: Identity, log: Log) -> None:
        super().__init__(me, log, {"GET /cart": self.cart, "POST /orders": self.order})

    def cart(self, request: Request) -> Json:
        return self.call("GET", "cart", f"/carts/{request.rest}")

    def order(self, request: Request) -> Json:
        user = request.body["user"]
        try:
            self.call("POST", "cart", "/reservations", request.body)
        except UpstreamError as error:
            self.log.error("order not placed: nothing reserved", error, user=user)
            raise Refused(502, "order not placed") from error
        for attempt in range(1, CHARGE_ATTEMPTS + 1):
            try:
                receipt = self.call("POST", "payment", "/charges", request.body, timeout=CHARGE_TIMEOUT)
            except UpstreamError as error:
                if attempt == CHARGE_ATTEMPTS:
                    self.log.error("order not placed: charge failed", error, user=user, attempts=attempt)
                    raise Refused(502, "order not placed") from error
                self.log.warning("charge failed, trying again", user=user, attempt=attempt, cause=str(error))
            else:
                self.log.info("order placed", user=user, amount=request.body["amount"], attempts=attempt)
                return receipt
        raise AssertionError("unreachable")


class Payment(Service):
    """Checks the account's limit and the order's risk, then books it in the ledger."""

    def __init__(self, me: Identity, log: Log) -> None:
        super().__init__(me, log, {"POST /charges": self.charge})
        version = tuple(int(part) for part in me.version.split(".")[:2])
        self.exhaustive = version >= EXHAUSTIVE_SINCE
        log.info("payment started", version=me.version, risk_model="pairs" if self.exhaustive else "signals")

    def charge(self, request: Request) -> Json:
        user, amount = request.body["user"], request.body["amount"]
        limit = self.call("GET", "ledger", f"/limits/{user}", timeout=LEDGER_TIMEOUT)
        if amount > limit["limit"]:
            raise Refused(402, "over the limit")
        risk = self._risk(f"{user}:{amount}")
        entry = {"account": user, "amount": amount, "risk": risk}
        try:
            booked = self.call("POST", "ledger", "/entries", entry, timeout=LEDGER_TIMEOUT)
        except UpstreamError as error:
            self.log.error("charge not booked", error, user=user)
            raise Refused(502, "charge not booked") from error
        return {"receipt": booked["entry"], "risk": risk}

    def _risk(self, order: str) -> float:
        """0 to 1, from a chain of digests over the order's signals."""
        signals = 560
        rounds = signals * signals if self.exhaustive else signals
        digest = order.encode()
        for _ in range(rounds):
            digest = hashlib.blake2s(digest, digest_size=8).digest()
        return int.from_bytes(digest[:2], "big") / 65535


class Catalog(Service):
    """Busy and of little consequence: sorts its products for each visitor."""

    def __init__(self, me: Identity, log: Log) -> None:
        super().__init__(me, log, {"GET /products": self.product})
        draw = random.Random(7)
        self.prices = {i: draw.random() for i in range(PRODUCTS) if i % MISSING_EACH}
        log.info("catalog loaded", version=me.version, products=len(self.prices))

    def product(self, request: Request) -> Json:
        wanted = int(request.rest or 1)
        price = self.prices[wanted]
        near = sorted(self.prices, key=lambda i: (abs(self.prices[i] - price), i))
        return {"product": wanted, "price": price, "alike": near[1:6], "at": time.time()}
