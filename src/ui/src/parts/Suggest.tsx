import { Button, Code, Text } from "@mantine/core";
import { useState } from "react";
import { post } from "../api";
import type { Status } from "../router";
import { usd } from "../words";
import { failed } from "./tell";

/** What a judge would score, by model; of the undecided it has no opinion. */
export interface Suggestion {
  judge: string; model: string; label_source: string; scores: Record<string, number>; undecided: string[]; calls: number; cost_usd: string;
}

/** The button that asks the judge, or how to get one. */
export function Suggest({ judges, prompt, answers, onSuggest }: { judges: Status["judges"]; prompt: string; answers: Record<string, string>; onSuggest: (suggestion: Suggestion) => void }) {
  const [asking, setAsking] = useState(false);
  if (judges.length === 0) {
    return <Text size="xs" c="dimmed" maw={420}>No judge is configured. With one it can suggest the scores: <Code>[judges.grader]</Code> with <Code>model = "provider/id"</Code> in the configuration; <Code>share</Code>, <Code>pairs</Code> and <Code>burst</Code> of 0 keep it to this.</Text>;
  }
  const ask = async () => {
    setAsking(true);
    try {
      onSuggest(await post<Suggestion>("/v1/router/preferences/judge", { prompt, answers }));
    } catch (problem) {
      failed(problem);
    } finally {
      setAsking(false);
    }
  };
  return <Button size="xs" variant="light" loading={asking} disabled={Object.keys(answers).length === 0} onClick={() => void ask()}>Let the judge suggest</Button>;
}

/** Whose word each score will be. */
export function Suggested({ suggestion, scores }: { suggestion: Suggestion; scores: Record<string, number> }) {
  const left = Object.keys(sourcesOf(suggestion, scores)).length;
  const own = Object.keys(scores).length - left;
  return (
    <Text size="sm" c="dimmed" role="status">
      Suggested by the judge {suggestion.judge} ({suggestion.model}), for {usd(Number(suggestion.cost_usd))}. Change what you see differently. As it stands, {own} will be taught as your word and {left} as the judge's.
    </Text>
  );
}

/** What was left as it was suggested is the judge's word, not a person's. */
export function sourcesOf(suggestion: Suggestion | undefined, scores: Record<string, number>): Record<string, string> {
  if (!suggestion) return {};
  return Object.fromEntries(Object.keys(scores).filter((model) => suggestion.scores[model] === scores[model]).map((model) => [model, suggestion.label_source]));
}
