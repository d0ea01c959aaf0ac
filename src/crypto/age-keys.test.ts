import { generateHybridIdentity, generateX25519Identity, identityToRecipient } from "age-encryption";
import { expect, test } from "vitest";
import { ageIdentity, ageRecipient, ageSecret, isAgeRecipient, throwAwayRecipient } from "./age-keys.ts";

test("keys are spelled as age spells them", async () => {
  const identity = await generateX25519Identity();
  const secret = ageSecret(identity)!;
  expect(ageIdentity(secret)).toBe(identity);
  expect(await ageRecipient(secret)).toBe(await identityToRecipient(identity));
});

test("what is not an X25519 key in its one spelling is none", async () => {
  const identity = await generateX25519Identity();
  const recipient = await identityToRecipient(identity);
  const hybrid = await generateHybridIdentity();
  expect(isAgeRecipient(recipient)).toBe(true);
  for (const text of [
    recipient.toUpperCase(),
    `${recipient}q`,
    recipient.replace("age1", "age2"),
    "age1",
    "",
  ]) {
    expect(isAgeRecipient(text), text).toBe(false);
  }
  expect(isAgeRecipient(await identityToRecipient(hybrid))).toBe(false);
  expect(isAgeRecipient(identity)).toBe(false);
  for (const text of [identity.toLowerCase(), identity.slice(0, -1), hybrid, recipient.toUpperCase()]) {
    expect(ageSecret(text), text).toBeUndefined();
  }
});

test("throw-away recipients look like any other", () => {
  expect(isAgeRecipient(throwAwayRecipient())).toBe(true);
  expect(throwAwayRecipient()).not.toBe(throwAwayRecipient());
});
