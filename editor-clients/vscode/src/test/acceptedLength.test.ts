import assert from "node:assert/strict";
import { test } from "node:test";
import { acceptedLength } from "../acceptedLength.ts";

test("the beginning of a text that was written", () => {
  assert.equal(acceptedLength("foo(a, b)", "foo"), 3);
  assert.equal(acceptedLength("foo(a, b)", "foo(a, b)"), 9);
  assert.equal(acceptedLength("a\nb\nc", "a\r\nb"), 3);
});

test("other text is no part", () => {
  assert.equal(acceptedLength("foo", "bar"), 0);
  assert.equal(acceptedLength("foo", "foo()"), 0);
  assert.equal(acceptedLength("foo", ""), 0);
});
