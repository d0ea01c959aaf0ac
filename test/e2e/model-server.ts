// A model that needs no network: answers the Messages API on loopback and remembers what it was sent.

import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

/** One turn of the model: calls of tools, or words. */
export interface Turn {
  readonly tool?: { readonly name: string; readonly input: Record<string, unknown> };
  readonly text?: string;
}

export class ModelServer {
  /** Bodies of the requests for messages, as text. */
  readonly requests: string[] = [];
  readonly #server: Server;
  readonly #turns: Turn[];

  private constructor(turns: readonly Turn[]) {
    this.#turns = [...turns];
    this.#server = createServer((request, response) => {
      let body = "";
      request.setEncoding("utf8").on("data", (part: string) => {
        body += part;
      });
      request.on("end", () => {
        if (!request.url?.startsWith("/v1/messages") || request.url.includes("count_tokens")) {
          response.setHeader("content-type", "application/json");
          response.end(JSON.stringify({ input_tokens: 10 }));
          return;
        }
        this.requests.push(body);
        response.setHeader("content-type", "text/event-stream");
        response.end(events(this.#turns.shift() ?? { text: "All is well." }, this.requests.length));
      });
    });
  }

  static async start(turns: readonly Turn[]): Promise<ModelServer> {
    const model = new ModelServer(turns);
    await new Promise<void>((ready) => model.#server.listen(0, "127.0.0.1", ready));
    return model;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  stop(): Promise<void> {
    this.#server.closeAllConnections();
    return new Promise((done) => this.#server.close(() => done()));
  }
}

/** A whole answer as the server-sent events of the Messages API. */
function events(turn: Turn, number: number): string {
  const { tool, text = "" } = turn;
  const usage = { input_tokens: 10, output_tokens: 5 };
  const opening = tool
    ? { type: "tool_use", id: `toolu_${number}`, name: tool.name, input: {} }
    : { type: "text", text: "" };
  const delta = tool
    ? { type: "input_json_delta", partial_json: JSON.stringify(tool.input) }
    : { type: "text_delta", text };
  const message = {
    id: `msg_${number}`,
    type: "message",
    role: "assistant",
    model: "mock",
    content: [],
    stop_reason: null,
    stop_sequence: null,
    usage,
  };
  const all = [
    { type: "message_start", message },
    { type: "content_block_start", index: 0, content_block: opening },
    { type: "content_block_delta", index: 0, delta },
    { type: "content_block_stop", index: 0 },
    {
      type: "message_delta",
      delta: { stop_reason: tool ? "tool_use" : "end_turn", stop_sequence: null },
      usage,
    },
    { type: "message_stop" },
  ];
  return all.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join("");
}
