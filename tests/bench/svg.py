# SPDX-License-Identifier: MIT
"""Grouped bars as an SVG file, in panels side by side."""

from xml.sax.saxutils import escape

PANEL_W, PANEL_H = 270, 220
LEFT, TOP, GAP, BOTTOM = 20, 70, 30, 60
COLOURS = ['#1b6ca8', '#e08e45', '#b8b8b8', '#7a9e4e']
FONT = 'font-family="sans-serif"'


def text(x, y, what, size=12, anchor='middle', more=''):
    return ('<text x="%.1f" y="%.1f" %s font-size="%d" text-anchor="%s" %s>'
            '%s</text>' % (x, y, FONT, size, anchor, more, escape(what)))


def human(n):
    if n >= 1e6:
        return '%.2gM' % (n / 1e6) if n < 1e7 else '%.0fM' % (n / 1e6)
    return '%.0fk' % (n / 1e3) if n >= 1e4 else '%.1fk' % (n / 1e3)


def panel(x, title, groups, series):
    """groups: [(label, {series: value})]; each panel has its own scale."""
    top = max((v for _, values in groups for v in values.values()), default=1)
    out = [text(x + PANEL_W / 2, TOP - 10, title, 13)]
    step = PANEL_W / max(len(groups), 1)
    width = step * 0.86 / max(len(series), 1)
    for i, (label, values) in enumerate(groups):
        left = x + i * step + step * 0.07
        for j, name in enumerate(series):
            if name not in values:
                continue
            h = values[name] / top * (PANEL_H - 20)
            bar = left + j * width
            y = TOP + PANEL_H - h
            out.append('<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" '
                       'fill="%s"/>' % (bar, y, width * 0.92, h,
                                        COLOURS[j % len(COLOURS)]))
            out.append(text(bar + width * 0.46, y - 3, human(values[name]), 8))
        out.append(text(left + step * 0.43, TOP + PANEL_H + 16, label, 11))
    out.append('<line x1="%d" y1="%d" x2="%d" y2="%d" stroke="#444"/>' %
               (x, TOP + PANEL_H, x + PANEL_W, TOP + PANEL_H))
    return out


def chart(title, panels, series, foot):
    """An SVG document of panels [(title, groups)]."""
    w = LEFT * 2 + len(panels) * PANEL_W + (len(panels) - 1) * GAP
    h = TOP + PANEL_H + BOTTOM
    out = ['<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" '
           'viewBox="0 0 %d %d">' % (w, h, w, h),
           '<!-- SPDX-License-Identifier: MIT -->',
           '<rect width="100%" height="100%" fill="white"/>',
           text(LEFT, 24, title, 15, 'start', 'font-weight="bold"')]
    x = LEFT
    for j, name in enumerate(series):
        out.append('<rect x="%d" y="34" width="10" height="10" fill="%s"/>' %
                   (x, COLOURS[j % len(COLOURS)]))
        out.append(text(x + 14, 43, name, 11, 'start'))
        x += 40 + 7 * len(name)
    for i, (name, groups) in enumerate(panels):
        out += panel(LEFT + i * (PANEL_W + GAP), name, groups, series)
    out.append(text(LEFT, h - 12, foot, 10, 'start', 'fill="#555"'))
    return '\n'.join(out + ['</svg>', ''])
