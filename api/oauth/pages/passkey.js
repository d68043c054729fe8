// Fills a form in by a passkey. Where a browser has none, the form stays hidden: a password and a code do.
"use strict";

const keys = window.PublicKeyCredential;

async function answer(form) {
  const options = JSON.parse(form.dataset.options);
  const credential = form.dataset.passkey === "create"
    ? await navigator.credentials.create({ publicKey: keys.parseCreationOptionsFromJSON(options) })
    : await navigator.credentials.get({ publicKey: keys.parseRequestOptionsFromJSON(options) });
  return JSON.stringify(credential.toJSON());
}

async function submit(event) {
  const form = event.currentTarget;
  event.preventDefault();
  try {
    form.elements.passkey.value = await answer(form);
  } catch {
    form.querySelector(".failed").hidden = false;
    return;
  }
  form.submit();
}

if (keys && keys.parseRequestOptionsFromJSON) {
  for (const form of document.querySelectorAll("form[data-passkey]")) {
    form.addEventListener("submit", submit);
    form.hidden = false;
  }
}
