// Signing in: with a link that carries the token, or by pasting it here.

import { h } from "../dom.js";
import { command } from "../parts.js";

export function signInPage(app, why) {
  const field = h("input", { type: "password", name: "token", autocomplete: "off", spellcheck: "false", required: true, "aria-describedby": "sign-in-note" });
  const submit = (event) => {
    event.preventDefault();
    const token = field.value.trim();
    field.value = "";
    if (token) app.connection.signIn(token);
  };
  setTimeout(() => field.focus());
  return h("main.sign-in", null,
    h("div.card", null,
      h("h1", null, "Headwater"),
      h("p", null, "What every machine of the fleet runs, and why."),
      why && h("p.problem", { role: "alert" }, why),
      h("form", { onsubmit: submit }, h("label.field", null, "Token", field), h("button.primary", { type: "submit" }, "Sign in")),
      h("p.quiet", { id: "sign-in-note" }, "An auditor's token shows everything, an administrator's also changes it. The token stays in the memory of this browser, and is forgotten when its last tab of the console is closed, at the latest half a minute after."),
      command("headwater console", "A link that signs you in is printed by")));
}
