/** Plain http is for servers on the mesh host itself. */
export function travelsInClear(url: string): boolean {
  const { protocol, hostname } = new URL(url);
  return protocol === "http:" && !/^(127(\.\d{1,3}){3}|\[::1\]|localhost)$/.test(hostname);
}
