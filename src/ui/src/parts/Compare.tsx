import { Alert, Badge, Button, Group, Loader, MultiSelect, Paper, SimpleGrid, Slider, Stack, Switch, Text, Textarea, TextInput, Title } from "@mantine/core";
import { useEffect, useMemo, useState } from "react";
import { type Listed, post } from "../api";
import { useAsked } from "../asked";
import { type Status, pooled } from "../router";
import { seconds, usd } from "../words";
import { Panel } from "./Panel";
import { sourcesOf, Suggest, Suggested, type Suggestion } from "./Suggest";
import { failed, tried } from "./tell";

interface Answer {
  model: string; candidate: string; text: string | null; cost_usd: string; latency_ms: number;
  usage: { input_tokens: number; output_tokens: number };
  error: { kind: string; message: string } | null;
}
interface Comparison { answers: Answer[]; cost_usd: string }

const LETTERS = "ABCDEFGHIJKLMNOP";
const MARKS = [{ value: 0, label: "useless" }, { value: 0.5, label: "so-so" }, { value: 1, label: "perfect" }];

/** The same prompt for several models, side by side, without saying which is which. */
export function Compare({ onTaught }: { onTaught: () => void }) {
  const models = useAsked<Listed<{ id: string; owned_by: string }>>("/v1/models");
  const status = useAsked<Status>("/v1/router/status");
  const [chosen, setChosen] = useState<string[]>();
  const [prompt, setPrompt] = useState("");
  const [tag, setTag] = useState("");
  const [blind, setBlind] = useState(true);
  const [asking, setAsking] = useState(false);
  const [answers, setAnswers] = useState<Answer[]>();
  const [scores, setScores] = useState<Record<string, number>>({});
  const [suggestion, setSuggestion] = useState<Suggestion>();

  const known = useMemo(() => {
    const listed = (models.data?.data ?? []).filter((model) => model.owned_by !== "laneway").map((model) => model.id);
    return [...new Set([...(status.data ? pooled(status.data) : []), ...listed])];
  }, [models.data, status.data]);
  useEffect(() => {
    if (chosen === undefined && status.data) {
      const names = pooled(status.data);
      if (names.length > 0) setChosen(names);
    }
  }, [chosen, status.data]);

  const asked = chosen ?? [];
  const ask = async () => {
    setAsking(true);
    try {
      const told = await post<Comparison>("/v1/router/preferences/compare", { prompt, models: asked });
      // The order says nothing: it is another one for each prompt.
      setAnswers(shuffled(told.answers));
      setScores({});
      setSuggestion(undefined);
    } catch (problem) {
      failed(problem);
    } finally {
      setAsking(false);
    }
  };
  const scored = Object.keys(scores).length;
  const given = Object.fromEntries((answers ?? []).flatMap((answer) => (answer.text === null ? [] : [[answer.model, answer.text]])));
  const teach = async () => {
    const body = { prompt, scores, label_sources: sourcesOf(suggestion, scores), ...(tag ? { tag } : {}) };
    if (await tried(() => post("/v1/router/preferences/rank", body), "Taught. The next decision knows it.")) {
      setAnswers(undefined);
      setPrompt("");
      onTaught();
    }
  };
  return (
    <Panel title="Compare and score" hint="One prompt for several models; how good each answer is becomes an example">
      <form onSubmit={(event) => { event.preventDefault(); void ask(); }}>
        <Stack gap="sm">
          <Textarea label="Prompt" value={prompt} onChange={(event) => { setPrompt(event.currentTarget.value); setAnswers(undefined); }} autosize minRows={3} maxRows={12} required />
          <Group align="flex-end" gap="sm">
            <MultiSelect label="Models" data={known} value={asked} onChange={setChosen} searchable flex={1} miw={220} placeholder={asked.length ? undefined : "Choose at least two"} />
            <TextInput label="Kind of task" placeholder="Optional" value={tag} onChange={(event) => setTag(event.currentTarget.value)} w={160} />
            <Button type="submit" loading={asking} disabled={asked.length < 2 || !prompt.trim()}>Ask them</Button>
          </Group>
        </Stack>
      </form>
      {asking && <Group mt="md"><Loader size="sm" /><Text size="sm" c="dimmed">They are answering</Text></Group>}
      {answers && (
        <Stack mt="md">
          <Group justify="space-between">
            <Switch label="Do not say which model is which" checked={blind} onChange={(event) => setBlind(event.currentTarget.checked)} />
            {status.data && !suggestion && <Suggest judges={status.data.judges} prompt={prompt} answers={given} onSuggest={(told) => { setSuggestion(told); setScores((before) => ({ ...told.scores, ...before })); }} />}
          </Group>
          {suggestion && <Suggested suggestion={suggestion} scores={scores} />}
          <SimpleGrid cols={{ base: 1, md: Math.min(answers.length, 3) }}>
            {answers.map((answer, at) => (
              <Judged key={answer.model} letter={LETTERS[at] as string} answer={answer} blind={blind} score={scores[answer.model]} suggestion={suggestion} onScore={(score) => setScores((before) => ({ ...before, [answer.model]: score }))} />
            ))}
          </SimpleGrid>
          <Group justify="flex-end">
            <Text size="sm" c="dimmed">{scored} of {answers.filter((answer) => !answer.error).length} scored</Text>
            <Button onClick={() => void teach()} disabled={scored === 0}>Teach this</Button>
          </Group>
        </Stack>
      )}
    </Panel>
  );
}

function Judged({ letter, answer, blind, score, suggestion, onScore }: { letter: string; answer: Answer; blind: boolean; score: number | undefined; suggestion: Suggestion | undefined; onScore: (score: number) => void }) {
  const judged = suggestion?.scores[answer.model];
  const left = judged !== undefined && judged === score;
  return (
    <Paper withBorder p="sm" component="article" aria-label={`Answer ${letter}`}>
      <Group justify="space-between" mb="xs">
        <Group gap="xs">
          <Title order={3} size="h5">{letter}{blind ? "" : `: ${answer.model}`}</Title>
          {judged !== undefined && <Badge variant="light" color={left ? "grape" : "teal"} tt="none">{left ? `suggested ${judged.toFixed(2)}` : `yours, suggested ${judged.toFixed(2)}`}</Badge>}
          {suggestion?.undecided.includes(answer.model) && <Badge variant="light" color="gray" tt="none">the judge cannot say</Badge>}
        </Group>
        {!blind && <Text size="xs" c="dimmed">{usd(Number(answer.cost_usd))}, {seconds(answer.latency_ms / 1000)}</Text>}
      </Group>
      {answer.error ? <Alert color="red">{blind ? "This one did not answer." : answer.error.message}</Alert> : (
        <>
          <Text size="sm" style={{ whiteSpace: "pre-wrap", overflowWrap: "anywhere" }} mah={320} mb="xl" className="answer" tabIndex={0}>{answer.text}</Text>
          <Slider value={score ?? 0.5} onChange={onScore} min={0} max={1} step={0.05} marks={MARKS} thumbLabel={`Score of answer ${letter}`} label={(value) => value.toFixed(2)} mb="lg" mx="md" color={score === undefined ? "gray.5" : left ? "grape" : "teal"} />
        </>
      )}
    </Paper>
  );
}

function shuffled<T>(things: T[]): T[] {
  const made = [...things];
  for (let at = made.length - 1; at > 0; at--) {
    const other = Math.floor(Math.random() * (at + 1));
    [made[at], made[other]] = [made[other] as T, made[at] as T];
  }
  return made;
}
