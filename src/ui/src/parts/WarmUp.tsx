import { Badge, Group, Progress, Stack, Text } from "@mantine/core";
import { useEffect, useRef } from "react";
import { useAsked } from "../asked";
import { short, type Status } from "../router";
import { Answered, Nothing, Panel } from "./Panel";
import { plainly } from "./verdict";

/** How far each pool is from being routed by what was taught. */
export function WarmUp({ turn }: { turn: number }) {
  const status = useAsked<Status>("/v1/router/status", 15_000);
  const first = useRef(true);
  const { again } = status;
  useEffect(() => {
    if (!first.current) again();
    first.current = false;
  }, [turn, again]);
  return (
    <Panel title="Warm-up" hint="How much is known, and whether routing by it is worth while">
      <Answered asked={status} lines={2}>
        {({ pools }) => pools.length === 0 ? <Nothing>No pool is configured: [pools.auto] names the models that one may choose among.</Nothing> : (
          <Stack>
            {pools.map((pool) => {
              const wanted = pool.candidates.reduce((sum, each) => sum + each.labels + each.needed, 0);
              const there = pool.candidates.reduce((sum, each) => sum + each.labels, 0);
              return (
                <div key={pool.pool}>
                  <Group justify="space-between" gap="xs">
                    <Group gap="xs"><Text fw={600}>{pool.pool}</Text><Badge variant="light" color={pool.routable ? "teal" : "gray"}>{pool.routable ? "choosing pays" : pool.warm ? "warm" : "warming up"}</Badge></Group>
                    <Text size="sm" c="dimmed" className="number">{pool.candidates.map((each) => `${short(each.name)} ${each.labels}`).join(", ")} scored</Text>
                  </Group>
                  <Progress value={wanted ? (100 * there) / wanted : 0} my={6} color={pool.warm ? "teal" : "orange"} aria-label={`${pool.pool}: labels that are there of those that are needed`} />
                  <Text size="sm">{plainly(pool)}</Text>
                </div>
              );
            })}
          </Stack>
        )}
      </Answered>
    </Panel>
  );
}
