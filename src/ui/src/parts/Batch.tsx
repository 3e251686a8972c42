import { Alert, Anchor, Button, FileButton, Group, List, Progress, Stack, Text } from "@mantine/core";
import { useState } from "react";
import { ask, get, type Listed, post } from "../api";
import { type Example } from "../router";
import { Panel } from "./Panel";
import { failed, tried } from "./tell";

interface Pair { likeness: number; examples: [Example, Example]; candidate?: string; difference?: number }
interface Found { twins: Pair[]; disputes: Pair[] }

const LINES_AT_ONCE = 200;

/** A file of scored prompts, a line each; sent in pieces that can be taken back in one go. */
export function Batch({ onTaught }: { onTaught: () => void }) {
  const [sent, setSent] = useState<{ done: number; of: number; batch: string }>();
  const [found, setFound] = useState<Found>();
  const [problem, setProblem] = useState<string>();

  const take = async (file: File | null) => {
    if (!file) return;
    setProblem(undefined);
    setFound(undefined);
    const lines = (await file.text()).split("\n").filter((line) => line.trim());
    const batch = `page-${new Date().toISOString().replace(/[:.]/g, "-")}`;
    let done = 0;
    setSent({ done, of: lines.length, batch });
    try {
      for (let at = 0; at < lines.length; at += LINES_AT_ONCE) {
        const piece = lines.slice(at, at + LINES_AT_ONCE);
        await ask(`/v1/router/preferences/rank?batch=${encodeURIComponent(batch)}`, { method: "POST", raw: `${piece.join("\n")}\n` });
        done += piece.length;
        setSent({ done, of: lines.length, batch });
      }
      const [twins, disputes] = await Promise.all([get<Listed<Pair>>("/v1/router/memory/duplicates"), get<Listed<Pair>>("/v1/router/memory/contradictions")]);
      setFound({ twins: twins.data, disputes: disputes.data });
    } catch (error) {
      setProblem(`${(error as Error).message} ${done ? `The first ${done} lines are taught; "Undo" takes them back.` : "Nothing was taught."}`);
    }
    onTaught();
  };
  const undo = async () => {
    if (!sent) return;
    if (await tried(() => post("/v1/router/memory/undo", { batch: sent.batch }), "The batch is taken back.")) {
      setSent(undefined);
      setFound(undefined);
      setProblem(undefined);
    }
    onTaught();
  };
  return (
    <Panel title="Teach a file" hint={'A text file with one scored prompt on each line, as {"prompt": "What is 2+2?", "scores": {"MODEL": 1}}; 0 is useless, 1 is perfect'}>
      <Stack gap="sm">
        <Group>
          <FileButton onChange={(file) => void take(file).catch(failed)} accept=".ndjson,.jsonl,.json,application/x-ndjson">{(props) => <Button {...props} variant="light">Choose a file</Button>}</FileButton>
          {sent && sent.done > 0 && <Button variant="default" onClick={() => void undo()}>Undo</Button>}
          <Anchor href="/v1/router/memory/export" download="examples.ndjson" size="sm">Export everything</Anchor>
        </Group>
        {sent && (
          <>
            <Progress value={sent.of ? (100 * sent.done) / sent.of : 0} aria-label="Lines taught" animated={sent.done < sent.of && !problem} />
            <Text size="sm" className="number" role="status">{sent.done} of {sent.of} taught</Text>
          </>
        )}
        {problem && <Alert color="red">{problem}</Alert>}
        {found && (
          <Alert color={found.disputes.length ? "orange" : "teal"} title={`${found.twins.length} pairs of like prompts, ${found.disputes.length} contradictions`}>
            <List size="sm">
              {found.disputes.slice(0, 5).map((pair, at) => (
                <List.Item key={at}>{pair.candidate}: scores differ by {pair.difference?.toFixed(2)} on &ldquo;{pair.examples[0].prompt.slice(0, 80)}&rdquo; and &ldquo;{pair.examples[1].prompt.slice(0, 80)}&rdquo;</List.Item>
              ))}
            </List>
          </Alert>
        )}
      </Stack>
    </Panel>
  );
}
