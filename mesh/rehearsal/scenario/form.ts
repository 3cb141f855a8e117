import { z } from "zod";
import { limits } from "../../../protocol/limits.ts";
import { Name } from "../../../protocol/names.ts";
import type { ArgumentForm, CallAction, Role, Scenario, Step, TextMatch } from "./scenario.ts";
import { compilePath, compileTemplate, usesItem, type Path, type Template } from "./template.ts";

/**
 * The form of a scenario file. Every object is strict.
 *
 *   version: 1
 *   scenario: NAME                      the model is `rehearsal/NAME`
 *   about: text                         for people
 *   roles:
 *     NAME:
 *       system: MATCH                   which system prompts; without it, every one
 *       steps:
 *         - step: what it does          for people, and for error messages
 *           when: { user: MATCH, some: [PATH], none: [PATH] }
 *           each: PATH                  with `call`: once for each item of this list, `item` in templates
 *           where: { FIELD: MATCH }     with `each`: only items like this
 *           call: { tool: NAME, arguments: { … } }
 *           parallel: 12                calls in one answer at most
 *           say: TEMPLATE               instead of `call`
 *
 * MATCH is `{ starts, contains, lacks }`, each a text or a list of alternatives. A PATH starts with `user`
 * (`text`, `sender`, `body`), `results.TOOL` (what the tool gave in this turn, a list), `refusals` (`tool`, `code`,
 * `reason`) or `item`. A TEMPLATE holds `{{ PATH | filter }}`.
 */
const CALLS_PARALLEL_DEFAULT = 12;

const texts = z
  .union([z.string().min(1).max(500), z.array(z.string().min(1).max(500)).min(1).max(32)])
  .transform((value) => (typeof value === "string" ? [value] : value));

const Match = z
  .strictObject({ starts: texts.optional(), contains: texts.optional(), lacks: texts.optional() })
  .refine((match) => match.starts || match.contains || match.lacks, "needs `starts`, `contains` or `lacks`")
  .transform((match): TextMatch => ({
    starts: match.starts ?? [],
    contains: match.contains ?? [],
    lacks: match.lacks ?? [],
  }));

const PathText = z.string().transform((text, context): Path => {
  const path = compilePath(text);
  if (path.ok) return path.value;
  context.issues.push({ code: "custom", message: path.error, input: text });
  return z.NEVER;
});

const TemplateText = z.string().transform((text, context): Template => {
  const template = compileTemplate(text);
  if (template.ok) return template.value;
  context.issues.push({ code: "custom", message: template.error, input: text });
  return z.NEVER;
});

const Argument: z.ZodType<ArgumentForm> = z.lazy(() =>
  z.union([
    TemplateText.transform((template): ArgumentForm => ({ template })),
    z.union([z.number(), z.boolean(), z.null()]).transform((constant): ArgumentForm => ({ constant })),
    z
      .array(Argument)
      .max(256)
      .transform((list): ArgumentForm => ({ list })),
    Fields,
  ]),
);
const Fields = z
  .record(z.string().max(64), Argument)
  .transform((fields): ArgumentForm => ({ fields: Object.entries(fields) }));

const StepForm = z
  .strictObject({
    step: z.string().min(1).max(200),
    when: z
      .strictObject({
        user: Match.optional(),
        some: z.array(PathText).max(16).optional(),
        none: z.array(PathText).max(16).optional(),
      })
      .optional(),
    each: PathText.optional(),
    where: z.record(z.string().max(64), Match).optional(),
    call: z
      .strictObject({
        tool: z
          .string()
          .regex(/^[A-Za-z0-9_-]{1,64}$/, "must be a tool's name as the model sees it, for example `files_read`"),
        arguments: Fields.optional(),
      })
      .optional(),
    parallel: z.int().min(1).max(limits.rehearsal.callsParallelMax).optional(),
    say: TemplateText.optional(),
  })
  .refine((step) => (step.call === undefined) !== (step.say === undefined), "needs either `call` or `say`")
  .refine(
    (step) => step.call !== undefined || !(step.each ?? step.where ?? step.parallel),
    "`each`, `where` and `parallel` belong to `call`",
  )
  .refine((step) => step.each !== undefined || step.where === undefined, "`where` belongs to `each`")
  .refine(
    (step) => step.each !== undefined || !speaksOfItem(step.call?.arguments, step.say),
    "`item` is known only in a step with `each`",
  )
  .transform((step): Step => ({
    name: step.step,
    when: { user: step.when?.user ?? null, some: step.when?.some ?? [], none: step.when?.none ?? [] },
    action: step.call === undefined ? { say: step.say ?? [] } : callOf(step, step.call.tool, step.call.arguments),
  }));

function callOf(
  step: { each?: Path | undefined; where?: Record<string, TextMatch> | undefined; parallel?: number | undefined },
  tool: string,
  form: ArgumentForm | undefined,
): CallAction {
  return {
    each: step.each ?? null,
    where: Object.entries(step.where ?? {}),
    call: { tool, arguments: form ?? { fields: [] } },
    parallel: step.parallel ?? CALLS_PARALLEL_DEFAULT,
  };
}

function speaksOfItem(form: ArgumentForm | undefined, say: Template | undefined): boolean {
  if (say) return usesItem(say);
  if (!form || "constant" in form) return false;
  if ("template" in form) return usesItem(form.template);
  return "list" in form
    ? form.list.some((item) => speaksOfItem(item, undefined))
    : form.fields.some(([, item]) => speaksOfItem(item, undefined));
}

const RoleForm = z.strictObject({
  system: Match.optional(),
  steps: z.array(StepForm).min(1).max(limits.rehearsal.rulesMax),
});

export const ScenarioForm = z
  .strictObject({
    version: z.literal(1, "must be 1"),
    scenario: Name,
    about: z.string().max(4_000).optional(),
    roles: z.record(Name, RoleForm).refine((roles) => Object.keys(roles).length > 0, "must name at least one role"),
  })
  .transform((form): Scenario => ({
    name: form.scenario,
    roles: Object.entries(form.roles).map(([name, role]): Role => ({
      name,
      system: role.system ?? null,
      steps: role.steps,
    })),
  }));
