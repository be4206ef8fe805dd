// Says in words why a preview cannot be shown; without this script the series' own page says it.
async function explain(image) {
  const answer = await fetch(image.src);
  if (answer.ok) return;
  let reason = "The preview could not be loaded.";
  try {
    const { detail, field } = await answer.json();
    if (detail) reason = detail.replace(`${field}: `, "Not shown: ");
  } catch { /* not a problem document: the general sentence stays */ }
  const text = document.createElement("p");
  text.className = "thumb withheld";
  text.textContent = reason;
  image.closest("a").replaceWith(text);
}

for (const image of document.querySelectorAll("a.thumb img")) {
  image.addEventListener("error", () => explain(image), { once: true });
  if (image.complete && image.naturalWidth === 0) explain(image);
}
