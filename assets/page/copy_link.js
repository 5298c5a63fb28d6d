// Runs where `instruction`, `operation` and `description` are given; returns what the button then says.
const address = writeAddress({ instruction, operation, description });
if (!navigator.clipboard) return "The link is in the address bar"; // pages without https may not copy
await navigator.clipboard.writeText(address);
return "Link copied";
