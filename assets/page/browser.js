// What Gradio's components do not offer; in the page's head, before they are made.

// A microphone that hears what is there: echo cancelling, noise suppression and gain control take the rain away first.
if (navigator.mediaDevices) {
  const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  navigator.mediaDevices.getUserMedia = (asked) => open(
    asked?.audio ? { ...asked, audio: { ...(asked.audio === true ? {} : asked.audio), ...plain } } : asked,
  );
}

// Recordings may be videos and whatever else holds sound, in the dialog and when they are dropped: the server looks
// into a file, while the component goes by the type that a browser makes of its name.
const SOUND_INPUTS = ":is(#recording, #first, #second) input[type=file]";
const TAKEN = "audio/*,video/*,.opus,.oga,.m4b,.aifc,.mka,.ts,.spx,.wv,.ape,.tta,.dsf,.caf";
new MutationObserver(() => document.querySelectorAll(SOUND_INPUTS).forEach((input) => {
  if (input.accept !== TAKEN) input.accept = TAKEN;
})).observe(document, { childList: true, subtree: true });
document.addEventListener("change", ({ target: input }) => {
  if (!input.matches(SOUND_INPUTS)) return;
  const sounds = new DataTransfer();
  for (const file of input.files) sounds.items.add(new File([file], file.name, { type: "audio/any" }));
  input.files = sounds.files;
}, true);
document.addEventListener("drop", (event) => {
  const input = event.target.closest?.(":is(#recording, #first, #second)")?.querySelector("input[type=file]");
  const [file] = event.dataTransfer?.files ?? [];
  if (!input || !file || file.type.startsWith("audio/")) return; // what it takes itself, the component takes
  event.preventDefault();
  event.stopPropagation();
  input.files = event.dataTransfer.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
}, true);

// Typed or pasted, but not put there by a link, an example or the list of earlier instructions.
document.addEventListener("input", (event) => {
  if (event.target.closest?.("#instruction")) document.getElementById("retyped").click();
});
