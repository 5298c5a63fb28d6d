// The settings of a user as a page address; `read_address.js` reads it.
const SETTINGS = ["instruction", "operation", "description"];

function writeAddress(entry) {
  const address = new URL(location.href);
  SETTINGS.forEach((name) => address.searchParams.delete(name));
  SETTINGS.filter((name) => entry[name] && entry[name] !== "as understood")
    .forEach((name) => address.searchParams.set(name, entry[name]));
  history.replaceState(history.state, "", address);
  return address.href;
}
