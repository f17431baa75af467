/** What Node adds: bundles in a folder of the disk. */

export { folderSource } from "./folder_source.js";
