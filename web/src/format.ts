/** Numbers for people: USD, prices, percent, ages. Pure. */

/** Three significant digits with K, M, B, T: "$12.3M". */
export function formatUsd(usd: number): string {
  if (!Number.isFinite(usd)) return '–';
  const size = Math.abs(usd);
  if (size < 0.005) return '$0';
  const unit = ['', 'K', 'M', 'B', 'T'];
  let k = 0;
  let value = size;
  while (k < 4 && value >= 999.5) {
    value /= 1000;
    k++;
  }
  const digits = value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  const text = value.toFixed(digits);
  const short = digits > 0 && k === 0 ? text.replace(/\.0+$/, '') : text;
  return `${usd < 0 ? '−' : ''}$${short}${unit[k]}`;
}

const fullUsd = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

/** Every dollar: "$12,345,678". */
export function formatFullUsd(usd: number): string {
  return `$${fullUsd.format(usd)}`;
}

const priceFormats = new Map<number, Intl.NumberFormat>();

export function formatPrice(price: number, decimals: number): string {
  if (!Number.isFinite(price)) return '–';
  let format = priceFormats.get(decimals);
  if (!format) {
    const digits = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
    priceFormats.set(decimals, (format = new Intl.NumberFormat('en-US', digits)));
  }
  return format.format(price);
}

/** Signed percent: "+2.41 %", "−0.08 %". */
export function formatPercent(ratio: number): string {
  if (!Number.isFinite(ratio)) return '–';
  const digits = Math.abs(ratio) >= 0.1 ? 1 : 2;
  const text = Math.abs(ratio * 100).toFixed(digits);
  const sign = Number(text) === 0 ? '' : ratio < 0 ? '−' : '+';
  return `${sign}${text} %`;
}

/** Age in the largest sensible unit: "3 s", "4 min", "2 h 10 min", "3 d". */
export function formatAge(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 90) return `${s} s`;
  const min = Math.round(s / 60);
  if (min < 90) return `${min} min`;
  const h = Math.floor(min / 60);
  if (h < 48) return min % 60 === 0 || h >= 10 ? `${h} h` : `${h} h ${min % 60} min`;
  return `${Math.floor(h / 24)} d`;
}

export function formatStep(ms: number): string {
  const min = ms / 60_000;
  if (min < 60) return `${min}m`;
  if (min < 1440) return `${min / 60}h`;
  return `${min / 1440}d`;
}

/** "binance:BTCUSDT" -> exchange and contract; a coin's name has no exchange. */
export function splitSymbol(symbol: string): { exchange: string; contract: string } {
  const at = symbol.indexOf(':');
  if (at < 0) return { exchange: '', contract: symbol };
  return { exchange: symbol.slice(0, at), contract: symbol.slice(at + 1) };
}
