// Build of the page: hashed assets beside one index.html, served by liqheat itself.
// `base: './'` lets the page live under any path of a reverse proxy.
import { defineConfig } from 'vite';

export default defineConfig({
  base: './',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir: '../src/liqheat/serve/static',
    emptyOutDir: true,
    target: 'es2022',
    // The chart library changes rarely: its own chunk stays in the browser's cache.
    rolldownOptions: {
      output: {
        codeSplitting: {
          groups: [{ name: 'lightweight-charts', test: /lightweight-charts|fancy-canvas/ }],
        },
      },
    },
  },
});
