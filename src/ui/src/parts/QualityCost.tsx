import { Slider, Text } from "@mantine/core";
import { useEffect, useState } from "react";
import { put } from "../api";
import { useAsked } from "../asked";
import { useSession } from "../session";
import { Answered, Panel } from "./Panel";
import { failed, said } from "./tell";

interface Alpha { alpha: number; min: number; max: number }

const MARKS = [{ value: 0, label: "Lowest cost" }, { value: 0.5, label: "Default (0.5)" }, { value: 1, label: "Highest quality" }];

/** Saved when it is let go, not while it moves; put back where it was when it could not be saved. */
export function QualityCost() {
  const { tenant } = useSession();
  const alpha = useAsked<Alpha>("/admin/v1/routing-alpha");
  const [shown, setShown] = useState<number>();
  useEffect(() => setShown(alpha.data && alpha.data.alpha / alpha.data.max), [alpha.data]);
  const save = async (value: number) => {
    const now = alpha.data;
    if (!now || Math.round(value * 10) === now.alpha) return;
    try {
      await put("/admin/v1/routing-alpha", { alpha: Math.round(value * 10) });
      said("Saved: the next request is decided by it.");
      alpha.again();
    } catch (problem) {
      setShown(now.alpha / now.max);
      failed(problem);
    }
  };
  return (
    <Panel title="Quality vs cost" hint={`How learned routing decides for ${tenant}`}>
      <Answered asked={alpha} lines={2}>
        {() => (
          <>
            <Slider value={shown ?? 0.5} onChange={setShown} onChangeEnd={(value) => void save(value)} min={0} max={1} step={0.1} marks={MARKS} label={(value) => value.toFixed(1)} thumbLabel="Quality vs cost" mx="xl" mb="xl" mt="sm" />
            <Text size="sm" c="dimmed">0 asks the cheapest model that will do, 1 the best one whatever it costs.</Text>
          </>
        )}
      </Answered>
    </Panel>
  );
}
