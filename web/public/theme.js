// Runs before the first paint, so that a light page does not flash dark: sets what
// `state/theme.ts` then follows. Not a module: those wait for the document.
(() => {
  let choice = 'dark';
  try {
    choice = JSON.parse(localStorage.getItem('liqheat.prefs') ?? '{}').theme ?? choice;
  } catch {
    // Storage is refused or unreadable: the page starts dark.
  }
  const light = matchMedia('(prefers-color-scheme: light)').matches;
  const theme = choice === 'light' || (choice === 'system' && light) ? 'light' : 'dark';
  document.documentElement.dataset.theme = theme;
})();
