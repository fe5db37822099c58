import { openStage } from '../../support/stage.ts';

/** A stage for races about one tag, v1; `arrange` puts it on an image of its own. */
export async function openOneTag() {
  const stage = await openStage();
  return {
    ...stage,
    async arrange(labels: Readonly<Record<string, string>> = {}) {
      await stage.clear();
      const image = await stage.image({ labels });
      const { tag, manifest } = await stage.push('v1', image);
      return { tag, manifest, image, before: await stage.generation() };
    },
    /** The row that has the name. */
    current: async () => {
      const rows = (await stage.generations('v1')).filter((row) => row['is_current'] === 1);
      return rows.map(({ id, immutable, lifetime_end_ms: endMs }) => ({ id, immutable, endMs }));
    },
  };
}
