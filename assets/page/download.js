// A file that was made on demand goes to the user as soon as its address comes.
watch("value", () => {
  if (!props.value) return;
  const link = element.querySelector("a");
  link.href = props.value.url;
  link.download = props.value.name;
  link.click();
});
