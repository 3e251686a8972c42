// A table of any length: only the rows that are seen are in the document.

import { Box, Group, Text } from "@mantine/core";
import { useVirtualizer } from "@tanstack/react-virtual";
import { type ReactNode, useRef } from "react";
import { count } from "../words";

export interface Column<T> {
  name: string;
  /** A share of the width. */
  width: number;
  /** In pixels, however narrow the window is. */
  least?: number;
  right?: boolean;
  /** Not shown where there is only room for a few: the row's own page tells it. */
  wide?: boolean;
  cell: (row: T) => ReactNode;
}

const ROW = 38;

export function LongTable<T>({ label, rows, columns, keyOf, onChoose, height = 520, more, onEnd, onTop }: { label: string; rows: T[]; columns: Column<T>[]; keyOf: (row: T) => string; onChoose?: (row: T) => void; height?: number; more?: boolean; onEnd?: () => void; onTop?: (seen: boolean) => void }) {
  const frame = useRef<HTMLDivElement>(null);
  const seen = useVirtualizer({
    count: rows.length,
    getScrollElement: () => frame.current,
    estimateSize: () => ROW,
    overscan: 12,
    onChange: (instance) => {
      if (onEnd && (instance.getVirtualItems().at(-1)?.index ?? 0) >= rows.length - 20) onEnd();
      onTop?.((instance.scrollOffset ?? 0) < ROW);
    },
  });
  const cells = (render: (column: Column<T>) => ReactNode, header = false) =>
    columns.map((column) => (
      <Box key={column.name} visibleFrom={column.wide ? "sm" : undefined} role={header ? "columnheader" : "cell"} style={{ flex: `${column.width} 1 0`, minWidth: column.least ?? 0, textAlign: column.right ? "right" : "left" }}>
        {render(column)}
      </Box>
    ));
  return (
    <Box style={{ overflowX: "auto" }} tabIndex={0} aria-label={`${label}, sideways`} role="group">
      <Box role="table" aria-label={label} aria-rowcount={more ? -1 : rows.length + 1} miw={{ base: 0, sm: columns.length * 92 }}>
        <Group role="row" wrap="nowrap" gap="xs" px="xs" pb={4} aria-rowindex={1}>{cells((column) => <Text size="xs" fw={600} c="dimmed">{column.name}</Text>, true)}</Group>
        <Box ref={frame} h={Math.min(height, rows.length * ROW + 4)} style={{ overflowY: "auto" }} role="rowgroup" tabIndex={0} aria-label={label}>
          <Box h={seen.getTotalSize()} pos="relative" role="presentation">
            {seen.getVirtualItems().map((item) => {
              const row = rows[item.index] as T;
              return (
                <Group
                  key={keyOf(row)}
                  role="row"
                  aria-rowindex={item.index + 2}
                  wrap="nowrap"
                  gap="xs"
                  px="xs"
                  pos="absolute"
                  top={0}
                  left={0}
                  w="100%"
                  h={ROW}
                  className={onChoose ? "row chosen" : "row"}
                  tabIndex={onChoose ? 0 : undefined}
                  onClick={onChoose && (() => onChoose(row))}
                  onKeyDown={onChoose && ((event) => { if (event.key === "Enter") onChoose(row); })}
                  style={{ transform: `translateY(${item.start}px)` }}
                >
                  {cells((column) => column.cell(row))}
                </Group>
              );
            })}
          </Box>
        </Box>
      </Box>
    </Box>
  );
}

/** How much of a list is here. */
export function Extent({ rows, more }: { rows: number; more: boolean }) {
  return <Text size="xs" c="dimmed" mt="xs" ta="right">{more ? `The newest ${count(rows)}; older ones come as you scroll` : `All ${count(rows)} that are kept`}</Text>;
}

export function Cell({ children, dim }: { children: ReactNode; dim?: boolean }) {
  return <Text size="sm" truncate className="number" title={typeof children === "string" ? children : undefined} c={dim ? "dimmed" : undefined}>{children}</Text>;
}

/** The time of today, the day of what is older. */
export function When({ at }: { at: number }) {
  const instant = new Date(at * 1000);
  const today = instant.toDateString() === new Date().toDateString();
  return <Cell>{instant.toLocaleString("en-GB", today ? { timeStyle: "medium" } : { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" })}</Cell>;
}
