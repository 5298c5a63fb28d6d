// What a shared address asks for: ?instruction=get+the+dog&operation=remove&description=dog; `address.js` writes it.
() => {
  const given = new URLSearchParams(location.search);
  const text = (name) => (given.get(name) ?? "").slice(0, 1000);
  const operation = ["extract", "remove"].find((known) => known === given.get("operation"));
  return [text("instruction"), operation ?? "as understood", text("description")];
}
