// The list of languages without suggestions. Pure.

/** `languages` with `id` put in or taken out. */
export function withToggled(languages: readonly string[], id: string): string[] {
  return languages.includes(id) ? languages.filter((other) => other !== id) : [...languages, id].sort();
}
