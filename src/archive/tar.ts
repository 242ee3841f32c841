/** A placeholder until the tar writer lands on its branch. */
export { writeCabinet as writeTar } from "./cab/write.ts";
