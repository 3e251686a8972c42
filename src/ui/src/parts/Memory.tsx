import { ActionIcon, Badge, Box, Group, Text, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { IconTrash } from "@tabler/icons-react";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useCallback, useEffect, useRef, useState } from "react";
import { get, remove } from "../api";
import { type Example } from "../router";
import { useSession } from "../session";
import { count } from "../words";
import { Nothing, Panel } from "./Panel";
import { failed, tried } from "./tell";

interface Page { data: Example[]; total: number; after: number | null }

/** Where the scores of one fit in a line. */
const ROW = 64;
const PAGE = 200;

/** Everything that was taught, fetched as far as it is looked at. */
export function Memory({ turn, onChange }: { turn: number; onChange: () => void }) {
  const { tenant } = useSession();
  const [text, setText] = useState("");
  const [sought] = useDebouncedValue(text, 250);
  const [held, setHeld] = useState<Page>({ data: [], total: 0, after: 0 });
  const busy = useRef(false);
  const frame = useRef<HTMLDivElement>(null);

  const load = useCallback(async (after: number, before: Example[]) => {
    if (busy.current) return;
    busy.current = true;
    try {
      const page = await get<Page>(`/v1/router/memory?limit=${PAGE}&after=${after}${sought ? `&text=${encodeURIComponent(sought)}` : ""}`);
      setHeld({ ...page, data: [...before, ...page.data] });
    } catch (problem) {
      failed(problem);
      setHeld((now) => ({ ...now, after: null }));
    } finally {
      busy.current = false;
    }
  }, [sought]);
  useEffect(() => void load(0, []), [load, turn, tenant]);

  const rows = useVirtualizer({ count: held.data.length, getScrollElement: () => frame.current, estimateSize: () => ROW, overscan: 8 });
  const last = rows.getVirtualItems().at(-1)?.index ?? 0;
  useEffect(() => {
    if (held.after && last >= held.data.length - 20) void load(held.after, held.data);
  }, [last, held, load]);

  const drop = async (example: Example) => {
    if (await tried(() => remove(`/v1/router/memory/${example.id}`), "The example is deleted.")) onChange();
  };
  return (
    <Panel title="What was taught" hint={`${count(held.total)} examples of ${tenant}`} right={<TextInput size="xs" aria-label="Search the prompts" placeholder="Search" value={text} onChange={(event) => setText(event.currentTarget.value)} />}>
      {held.data.length === 0 ? <Nothing>{sought ? "No prompt has these words." : "Nothing yet. Compare answers above, or teach a file."}</Nothing> : (
        <Box ref={frame} h={Math.min(420, held.data.length * ROW + 8)} style={{ overflow: "auto" }} tabIndex={0} role="list" aria-label="Examples">
          <Box h={rows.getTotalSize()} pos="relative">
            {rows.getVirtualItems().map((row) => {
              const example = held.data[row.index] as Example;
              return (
                <Group key={example.id} ref={rows.measureElement} data-index={row.index} role="listitem" pos="absolute" top={0} left={0} w="100%" mih={ROW} py={6} wrap="nowrap" justify="space-between" className="row" style={{ transform: `translateY(${row.start}px)` }}>
                  <div style={{ minWidth: 0 }}>
                    <Text size="sm" truncate mb={4}>{example.prompt}</Text>
                    <Group gap={4}>
                      {example.tag && <Badge size="sm" color="grape" variant="light" tt="none">{example.tag.slice(0, 24)}</Badge>}
                      {example.labels.map((label) => <Badge key={`${label.candidate}-${label.source}`} size="sm" variant="light" color={label.score >= 0.75 ? "teal" : label.score >= 0.4 ? "yellow" : "red"} tt="none">{label.candidate.split("/").at(-1)} {label.score.toFixed(2)}</Badge>)}
                    </Group>
                  </div>
                  <ActionIcon variant="subtle" color="red" aria-label={`Delete the example ${example.id}`} onClick={() => void drop(example)}><IconTrash size={16} aria-hidden /></ActionIcon>
                </Group>
              );
            })}
          </Box>
        </Box>
      )}
    </Panel>
  );
}
