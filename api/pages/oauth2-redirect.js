"use strict";

// Swagger UI leaves `swaggerUIRedirectOauth2` on its own window: what it asked for, and whom to call back.
function handOver(waiting, answer) {
  const { auth, redirectUrl, state, callback, errCb } = waiting;
  const fail = (message) => errCb({ authId: auth.name, source: "auth", level: "error", message });
  if (answer.get("state") !== state) {
    return fail("The answer does not belong to this login.");
  }
  if (!answer.has("code")) {
    return fail(answer.get("error_description") || answer.get("error") || "There is no code.");
  }
  delete waiting.state;
  auth.code = answer.get("code");
  return callback({ auth, redirectUrl });
}

const waiting = window.opener && window.opener.swaggerUIRedirectOauth2;
if (waiting) {
  handOver(waiting, new URLSearchParams(window.location.search));
  window.close();
} else {
  document.getElementById("message").textContent = "This page is the end of a login that began elsewhere.";
}
