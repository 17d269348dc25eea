import { expect, it } from 'vitest';

import { Player } from '../src/engine/player';

it('goes on by as many columns a second as asked', () => {
  for (const speed of [1, 2, 5, 10, 30, 60]) {
    const player = new Player();
    let columns = player.frame(0, speed);
    for (let i = 1; i <= 600; i++) columns += player.frame((i * 1000) / 60, speed);
    expect(Math.abs(columns - 10 * speed)).toBeLessThanOrEqual(1);
  }
});

it('does not make up for the time a tab slept', () => {
  const player = new Player();
  player.frame(0, 10);
  expect(player.frame(60_000, 10)).toBe(2);
  player.rest();
  expect(player.frame(99_000, 10)).toBe(0);
});
