// How much of a text has been written.

/** UTF-16 units of `text` that stand in `written`, the document from where it begins to the cursor; 0: not its start. */
export function acceptedLength(text: string, written: string): number {
  const [plain, start] = [text, written].map((each) => each.replace(/\r\n?/g, "\n"));
  return plain !== undefined && start !== undefined && plain.startsWith(start) ? start.length : 0;
}
