import { attemptsAt } from "../../../mesh/sandbox/probe-attempts.ts";
import { attackSuite } from "./probe-suite.ts";

attackSuite("hostile code reaches for the host", attemptsAt.host);
