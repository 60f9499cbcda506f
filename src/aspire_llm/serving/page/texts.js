// Every text of the page, by language and key. Where a text depends on figures it is a function of them; shares come in
// percent already, and counts as they are written.
import { en } from "./texts_en.js";
import { ko } from "./texts_ko.js";

export const TEXTS = { en, ko };
