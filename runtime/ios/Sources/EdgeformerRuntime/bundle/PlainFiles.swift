import Foundation

private let blockBytes = 1 << 16
private let maxFound = 10_000

func filesError(_ message: String) -> RuntimeBundleError { RuntimeBundleError(message, .files) }

/// What a name stands for, links not followed. `names`: how many names share the content.
private struct FileStatus {
    let kind: mode_t
    let names: Int
    let bytes: Int

    init(of path: String, named relative: String) throws {
        var status = stat()
        if lstat(path, &status) != 0 { throw cannot("be looked at", relative) }
        self.init(status)
    }

    init(_ status: stat) {
        kind = status.st_mode & S_IFMT
        names = Int(status.st_nlink)
        bytes = Int(status.st_size)
    }

    /// Raise RuntimeBundleError, code `files`, unless it is a regular file, and with one name.
    func checkPlain(_ relative: String, _ mayHaveOtherNames: Bool = false) throws {
        if kind == S_IFLNK { throw filesError("bundle: '\(relative)' is a symbolic link: expected a regular file") }
        if kind != S_IFREG {
            throw filesError("bundle: '\(relative)' is a device, pipe or socket: expected a regular file")
        }
        if names > 1 && !mayHaveOtherNames {
            let reason = "is a hard link, so it can change from outside the bundle"
            throw filesError("bundle: '\(relative)' \(reason): expected a regular file")
        }
    }
}

private func cannot(_ what: String, _ relative: String) -> RuntimeBundleError {
    filesError("bundle: '\(relative)' can't \(what): \(String(cString: strerror(errno)))")
}

/// A regular file with one name, open for reading.
final class PlainFile {
    let bytes: Int
    private let descriptor: Int32
    private let relative: String

    /// `relative` names it in messages. Raises RuntimeBundleError, code `files`.
    init(_ path: String, _ relative: String, mayHaveOtherNames: Bool = false) throws {
        self.relative = relative
        try FileStatus(of: path, named: relative).checkPlain(relative, mayHaveOtherNames)
        descriptor = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        if descriptor < 0 { throw cannot("be read", relative) }
        var opened = stat()
        if fstat(descriptor, &opened) != 0 { throw cannot("be looked at", relative) }
        bytes = Int(opened.st_size)
        try FileStatus(opened).checkPlain(relative, mayHaveOtherNames)
    }

    deinit { close(descriptor) }

    /// As many bytes from `position` on as `block` holds, or as there are: how many were read.
    func read(_ block: UnsafeMutableRawBufferPointer, at position: Int) throws -> Int {
        while true {
            let count = pread(descriptor, block.baseAddress, block.count, off_t(position))
            if count >= 0 { return count }
            if errno != EINTR { throw cannot("be read", relative) }
        }
    }

    /// Exactly `count` bytes from `position` on.
    func read(_ count: Int, at position: Int) throws -> [UInt8] {
        try [UInt8](unsafeUninitializedCapacity: count) { block, filled in
            while filled < count {
                let part = UnsafeMutableRawBufferPointer(block)[filled...]
                let read = try read(UnsafeMutableRawBufferPointer(rebasing: part), at: position + filled)
                if read == 0 { throw filesError("bundle: '\(relative)' ends at byte \(position + filled)") }
                filled += read
            }
        }
    }
}

/// The content of a regular file of at most `maxBytes`.
func readPlain(_ path: String, _ relative: String, maxBytes: Int) throws -> [UInt8] {
    let file = try PlainFile(path, relative)
    if file.bytes > maxBytes {
        let size = "has \(file.bytes) bytes: expected at most \(maxBytes)"
        throw filesError("bundle: '\(relative)' \(size). It is damaged or was made to do harm")
    }
    return try file.read(file.bytes, at: 0)
}

/// Every file under `directory` by relative POSIX path, with its size; refuses links and other non-files.
func scanFiles(_ directory: String) throws -> [(path: String, bytes: Int)] {
    var found: [(path: String, bytes: Int)] = []
    var folders = 0
    func scan(_ prefix: String, _ depth: Int) throws {
        guard let names = try? FileManager.default.contentsOfDirectory(atPath: "\(directory)/\(prefix)") else {
            throw filesError("bundle \(directory): '\(prefix)' can't be listed")
        }
        for name in names {
            let relative = prefix + name
            let status = try FileStatus(of: "\(directory)/\(relative)", named: relative)
            if status.kind == S_IFDIR {
                folders += 1
                if depth >= maxPathParts {
                    throw filesError("bundle \(directory): has folders more than \(maxPathParts) deep")
                }
                try scan(relative + "/", depth + 1)
            } else {
                try status.checkPlain(relative)
                found.append((relative, status.bytes))
            }
            if found.count > maxFound || folders > maxFound {
                throw filesError("bundle \(directory): holds more than \(maxFound) files or folders")
            }
        }
    }
    try scan("", 1)
    return found
}

/// Give the content of `entry`'s file, below `directory`, to `write`, block by block, hashed as it is read.
///
/// Raises RuntimeBundleError, code `files`, unless it has the size and the hash of `entry`.
func copyChecked(
    _ entry: FileEntry, in directory: String, write: (UnsafeRawBufferPointer) throws -> Void = { _ in }
) throws {
    let file = try PlainFile("\(directory)/\(entry.path)", entry.path)
    var hash = Sha256()
    var done = 0
    try withUnsafeTemporaryAllocation(byteCount: blockBytes, alignment: 16) { block in
        while done <= entry.bytes {
            try Task.checkCancellation()
            let count = try file.read(block, at: done)
            if count == 0 { return }
            done += count
            let part = UnsafeRawBufferPointer(rebasing: block[..<count])
            hash.update(part)
            if done <= entry.bytes { try write(part) }
        }
    }
    let found = hash.finished()
    if done != entry.bytes || found != entry.sha256 {
        throw filesError(
            "bundle \(directory): '\(entry.path)': expected \(entry.bytes) bytes of SHA-256 \(entry.sha256), got "
                + (done > entry.bytes ? "more" : "\(done) of \(found)")
                + ": the file is damaged or altered, copy the bundle again"
        )
    }
}

/// A file that is being written and that nobody else may look into.
final class NewFile {
    private let descriptor: Int32
    private let path: String

    /// Raises RuntimeBundleError, code `files`, where there is one already, or none can be made.
    init(_ path: String) throws {
        self.path = path
        descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        if descriptor < 0 { throw cannot("be made", path) }
    }

    deinit { close(descriptor) }

    func write(_ bytes: UnsafeRawBufferPointer) throws {
        var rest = bytes
        while !rest.isEmpty {
            let count = Foundation.write(descriptor, rest.baseAddress, rest.count)
            if count < 0 && errno != EINTR { throw cannot("be written", path) }
            rest = UnsafeRawBufferPointer(rebasing: rest[max(0, count)...])
        }
    }
}

/// A new folder in `parent` that only this user may look into. Raises RuntimeBundleError, code `files`.
func newFolder(in parent: URL, _ prefix: String) throws -> URL {
    let folder = parent.appendingPathComponent("\(prefix)-\(UUID().uuidString)", isDirectory: true)
    try makeFolder(folder)
    return folder
}

/// Make `folder` and those that it lies in, for this user alone. Raises RuntimeBundleError, code `files`.
func makeFolder(_ folder: URL) throws {
    do {
        try FileManager.default.createDirectory(
            at: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700]
        )
    } catch {
        throw filesError("can't make the folder \(folder.path): \(error.localizedDescription)")
    }
}
