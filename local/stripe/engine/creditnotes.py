"""Credit notes: a finalized invoice is lowered afterwards.

First the note lowers what is still to be paid; the rest of it goes back to the customer.
https://docs.stripe.com/api/credit_notes/create
"""

from local.stripe.engine import collecting, invoices, payments
from local.stripe.engine.store import Object, Store, new_id
from local.stripe.errors import invalid

_BACK = ("refund_amount", "credit_amount", "out_of_band_amount")


def issue(store: Store, invoice: Object, form: Object) -> Object:
    """`form`: the parameters of `POST /v1/credit_notes`. Raises `ApiError`."""
    invoices.check_status(invoice, "open", "paid", "uncollectible")
    lines = [_line(invoice, line, n) for n, line in enumerate(form.get("lines") or [])]
    asked: int = form.get("amount") or form.get("credit_amount") or 0
    amount = sum(line["amount"] for line in lines) if lines else asked
    if "amount" in form and lines:
        raise invalid("You may not pass both amount and lines.", "amount")
    credited = invoice["pre_payment_credit_notes_amount"] + invoice["post_payment_credit_notes_amount"]
    if not 0 < amount <= invoice["total"] - credited:
        left = invoice["total"] - credited
        raise invalid(f"The credit note's amount ({amount}) must be positive, and at most {left}.", "amount")
    before = min(amount, invoice["amount_remaining"])
    after = amount - before
    if sum(form.get(name, 0) for name in _BACK) != after:
        message = f"The sum of refund_amount, credit_amount and out_of_band_amount must be {after}."
        raise invalid(message, "credit_amount")
    made = _note(store, invoice, form, lines, amount, before)
    _lower(store, invoice, before)
    invoice["post_payment_credit_notes_amount"] += after
    _give_back(store, invoice, made, form)
    store.emit("credit_note.created", made)
    store.emit("invoice.updated", invoice)
    if before and not invoice["amount_remaining"]:
        collecting.pay_out_of_band(store, invoice)
    return made


def _line(invoice: Object, line: Object, n: int) -> Object:
    quantity, unit = line.get("quantity"), line.get("unit_amount")
    made: Object = {"invoice_line_item": line["invoice_line_item"]} if "invoice_line_item" in line else {}
    if made:
        found = next((one for one in invoice["lines"]["data"] if one["id"] == line["invoice_line_item"]), None)
        if found is None:
            raise invalid("No such invoice line item.", f"lines[{n}][invoice_line_item]", code="resource_missing")
        unit = unit or found["amount"] // (found["quantity"] or 1)
    amount = line.get("amount", (unit or 0) * (quantity or 1))
    empty: Object = {name: [] for name in ("discount_amounts", "pretax_credit_amounts", "tax_rates", "taxes")}
    return {
        "id": new_id("cnli"),
        "object": "credit_note_line_item",
        "amount": amount,
        "description": line.get("description"),
        "discount_amount": 0,
        "livemode": False,
        "metadata": {},
        "quantity": quantity,
        "type": line["type"],
        "unit_amount": unit,
        "unit_amount_decimal": None if unit is None else str(unit),
        **empty,
        **made,
    }


def _note(store: Store, invoice: Object, form: Object, lines: list[Object], amount: int, before: int) -> Object:
    kind = "pre_payment" if before == amount else "mixed" if before else "post_payment"
    count = len(store.all("credit_note", invoice=invoice["id"])) + 1
    made = store.create("credit_note", invoice=invoice["id"], customer=invoice["customer"], status="issued", type=kind)
    url = f"/v1/credit_notes/{made['id']}/lines"
    made |= {
        "amount": amount,
        "currency": invoice["currency"],
        "effective_at": form.get("effective_at", store.now()),
        "lines": {"object": "list", "data": lines, "has_more": False, "url": url},
        "memo": form.get("memo"),
        "metadata": form.get("metadata", {}),
        "number": f"{invoice['number']}-CN-{count:02}",
        "out_of_band_amount": form.get("out_of_band_amount"),
        "pdf": f"{store.public_url}/i/{invoice['id']}/pdf",
        "pre_payment_amount": before,
        "post_payment_amount": amount - before,
        "reason": form.get("reason"),
        **dict.fromkeys(("subtotal", "subtotal_excluding_tax", "total", "total_excluding_tax"), amount),
    }
    return made


def _lower(store: Store, invoice: Object, amount: int) -> None:
    """The customer has to pay `amount` (minor units) less. A negative amount takes it back."""
    invoice["pre_payment_credit_notes_amount"] += amount
    invoice["amount_due"] -= amount
    invoice["amount_remaining"] -= amount
    payment = invoices.payment_of(store, invoice)
    intent = invoices.intent_of(store, invoice)
    if payment and intent and intent["status"] in payments.CONFIRMABLE and invoice["amount_remaining"]:
        payment["amount_requested"] = intent["amount"] = invoice["amount_remaining"]


def _give_back(store: Store, invoice: Object, note: Object, form: Object) -> None:
    if form.get("credit_amount") and note["post_payment_amount"]:
        customer = store.get("customer", invoice["customer"])
        customer["balance"] -= form["credit_amount"]  # a negative balance is a credit
        store.emit("customer.updated", customer)
    if form.get("refund_amount"):
        intent = invoices.intent_of(store, invoice)
        if intent is None or not intent["latest_charge"]:
            raise invalid("The invoice has no charge to refund.", "refund_amount")
        charge = store.get("charge", intent["latest_charge"])
        refund = payments.refund(store, charge, form["refund_amount"])
        made = {"amount_refunded": refund["amount"], "refund": refund["id"], "type": "refund"}
        note["refunds"] = [{**made, "payment_record_refund": None}]


def void(store: Store, note: Object) -> Object:
    """https://docs.stripe.com/api/credit_notes/void: a note on an open invoice can be taken back."""
    invoice = store.get("invoice", note["invoice"])
    if note["status"] == "void" or invoice["status"] != "open":
        raise invalid("You can only void a credit note that is issued for an open invoice.")
    note |= {"status": "void", "voided_at": store.now()}
    _lower(store, invoice, -note["pre_payment_amount"])
    store.emit("credit_note.voided", note)
    store.emit("invoice.updated", invoice)
    return note
