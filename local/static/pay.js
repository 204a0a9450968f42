// A test card is filled in without a reload. Without this, its button asks for the page with this card in the form.
"use strict";

addEventListener("click", (event) => {
  const used = event.target.closest("button[name=use]");
  if (!used) return;
  event.preventDefault();
  const card = document.getElementById("card");
  card.value = used.value;
  card.form.elements.method.value = "card";
  card.focus();
});
