// What a shared address asks for: ?instruction=get+the+dog&operation=remove&description=dog; `address.js` writes it.
// What the user typed before the page was ready stays where the address asks for nothing.
(instruction, operation, description) => {
  const given = new URLSearchParams(location.search);
  const text = (name) => (given.get(name) ?? "").slice(0, 1000);
  const asked = ["extract", "remove"].find((known) => known === given.get("operation"));
  return [text("instruction") || instruction, asked ?? operation, text("description") || description];
}
