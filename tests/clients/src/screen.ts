/** A screen of a frontend, with every type coming from the schema: what does not fit it does not compile. */
import type { TypedDocumentNode } from "@graphql-typed-document-node/core";

import { graphql } from "./gql/gql.js";
import type { PlantQuery } from "./gql/graphql.js";

export const plant = graphql(`
  query Plant($tag: String!, $first: Int!) {
    system(tag: $tag) {
      name
      health { score coverage source rul { p10 p50 p90 unit } }
      products(first: $first) {
        nodes {
          tag
          level
          parts(first: $first) {
            nodes {
              name
              installed { since item { serialNumber } }
              sensors { nodes { name unit latest { time value quality } } }
            }
            pageInfo { hasNextPage endCursor }
          }
        }
      }
    }
  }
`);

export const live = graphql(`
  subscription Live($assets: [ID!]) {
    readings(assets: $assets) { time value sensor { uuid unit } twin { tag } }
  }
`);

type Part = NonNullable<PlantQuery["system"]>["products"]["nodes"][number]["parts"]["nodes"][number];

/** What a table row shows; a reading or a score may be missing, and the compiler insists on it being looked at. */
export function row(part: Part): string {
  const [sensor] = part.sensors.nodes;
  const value = sensor?.latest?.value;
  return `${part.name}: ${value === undefined || value === null ? "no reading" : value.toFixed(1)}`;
}

/** Asks for a persisted document by GET, as a cache in between would want it. */
export async function ask<Result, Variables>(
  url: string,
  token: string,
  document: TypedDocumentNode<Result, Variables> & { __meta__?: { hash?: string } },
  variables: Variables,
): Promise<Result> {
  const parameters = new URLSearchParams({
    documentId: `sha256:${document.__meta__?.hash ?? ""}`,
    variables: JSON.stringify(variables),
  });
  const answer = await fetch(`${url}?${parameters.toString()}`, {
    headers: { Authorization: `Bearer ${token}`, Accept: "application/graphql-response+json" },
  });
  const { data, errors } = (await answer.json()) as { data?: Result; errors?: { message: string }[] };
  if (!data) throw new Error(errors?.map((error) => error.message).join("; ") ?? "no data");
  return data;
}
