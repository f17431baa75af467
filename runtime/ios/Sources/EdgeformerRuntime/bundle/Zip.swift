import Foundation

private let maxMembers = 10_000
private let maxDirectoryBytes = 16 << 20
private let maxUnpackedBytes = 16 << 30
private let maxRatio = 200 // unpacked to packed; weights stay below 20, a bomb is at 1,000
private let ratioFreeBytes = 1 << 20 // small files may be as repetitive as they like
private let totalFreeBytes = 32 << 20 // unless there are many
private let endBytes = 22
private let listedBytes = 46
private let localBytes = 30
private let blockBytes = 1 << 16
private let forLarge = 0xffff_ffff // "look into the record of a large archive"
private let largeEndBytes = 56
private let largeLocatorBytes = 20
private let newestVersion = 63

/// Code page 437 from 0x80 on: names that aren't said to be UTF-8 are in it.
private let oldLetters = Array(
    ("ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐"
        + "└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}").unicodeScalars
)

private struct Member {
    let name: String
    let version: Int
    let flags: Int
    let method: Int
    let crc: Int
    let packed: Int
    let bytes: Int
    let mode: Int
    let start: Int

    var isFolder: Bool { name.hasSuffix("/") }
    var shown: String { "'\(name.prefix(200))'" }
}

private func refused(_ problem: String) -> RuntimeBundleError { RuntimeBundleError("bundle .zip: \(problem)", .zip) }

/// Unpack the .zip `archive` into the empty folder `into`, trusting nothing of it: members lie one after another from
/// the first byte on, stored or deflated, without links, encryption, comment or bombs. Raises RuntimeBundleError.
func unzip(_ archive: URL, into: URL) throws {
    let path = archive.resolvingSymlinksInPath().path
    let file = try PlainFile(path, archive.lastPathComponent, mayHaveOtherNames: true)
    let members = try readMembers(file)
    try checkMembers(members)
    let free = try? FileManager.default.attributesOfFileSystem(forPath: into.path)[.systemFreeSize] as? NSNumber
    let needed = members.reduce(0) { $0 + $1.bytes }
    if let free, needed > free.intValue {
        throw refused("unpacks to \(needed) bytes, and \(into.path) has \(free) free: make room")
    }
    for member in members where !member.isFolder {
        try Task.checkCancellation()
        try unpack(file, member, into)
    }
}

/// Where the list of members lies, and how many it says.
private struct Layout {
    let members: Int
    let start: Int
    let bytes: Int

    init(of file: PlainFile) throws {
        let endAt = file.bytes - endBytes
        if endAt < 0 { throw refused("is too short for one") }
        let end = Bytes(try file.read(endBytes, at: endAt))
        if end.u32(0) != 0x0605_4b50 || end.u16(20) != 0 {
            throw refused("doesn't end as one, or has a comment at its end")
        }
        let isLarge = [4, 6, 8, 10].contains { end.u16($0) == 0xffff } || [12, 16].contains { end.u32($0) == forLarge }
        if isLarge {
            try self.init(ofLarge: file, at: endAt - largeLocatorBytes - largeEndBytes)
            return
        }
        if end.u16(4) != 0 || end.u16(6) != 0 || end.u16(8) != end.u16(10) {
            throw refused("is one of several volumes")
        }
        try self.init(members: end.u16(10), start: end.u32(16), bytes: end.u32(12), endAt: endAt)
    }

    /// The same of an archive beyond 4 GiB or 65,535 members.
    private init(ofLarge file: PlainFile, at place: Int) throws {
        if place < 0 { throw refused("lacks the record of a large archive") }
        let end = Bytes(try file.read(largeEndBytes + largeLocatorBytes, at: place))
        let locator = largeEndBytes
        if end.u32(0) != 0x0606_4b50 || end.u32(locator) != 0x0706_4b50 || end.u32(locator + 4) != 0
            || end.u64(locator + 8) != place || end.u32(locator + 16) != 1 {
            throw refused("lacks the record of a large archive")
        }
        if end.u32(16) != 0 || end.u32(20) != 0 || end.u64(24) != end.u64(32) {
            throw refused("is one of several volumes")
        }
        try self.init(members: end.u64(32), start: end.u64(48), bytes: end.u64(40), endAt: place)
    }

    private init(members: Int, start: Int, bytes: Int, endAt: Int) throws {
        if !(0...maxMembers).contains(members) || !(0...maxDirectoryBytes).contains(bytes) {
            throw refused("holds \(members) members in \(bytes) bytes: expected at most \(maxMembers)")
        }
        if start < 0 || start != endAt - bytes { throw refused("its list of members doesn't end at byte \(endAt)") }
        (self.members, self.start, self.bytes) = (members, start, bytes)
    }
}

/// The list of members, once it is sure where each of them lies.
private func readMembers(_ file: PlainFile) throws -> [Member] {
    let layout = try Layout(of: file)
    let members = try listed(Bytes(file.read(layout.bytes, at: layout.start)))
    if members.count != layout.members {
        throw refused("says that it has \(layout.members) members, and lists \(members.count)")
    }
    var free = 0
    for member in members.sorted(by: { $0.start < $1.start }) {
        if member.start < free || (free == 0 && member.start != 0) {
            throw refused("\(member.shown) starts at byte \(member.start), where another one or nothing of it may be")
        }
        free = try dataStart(file, member)
        if member.packed > layout.start - free { throw refused("\(member.shown) reaches into the list of members") }
        free += member.packed
    }
    return members
}

private func listed(_ list: Bytes) throws -> [Member] {
    var members: [Member] = []
    var at = 0
    while at < list.count {
        let isOne = list.count - at >= listedBytes && list.u32(at) == 0x0201_4b50
        let name = isOne ? list.u16(at + 28) : 0
        let extra = isOne ? list.u16(at + 30) : 0
        let next = isOne ? at + listedBytes + name + extra + list.u16(at + 32) : .max
        if next > list.count { throw refused("its list of members is damaged") }
        let flags = list.u16(at + 8)
        let stated = [list.u32(at + 24), list.u32(at + 20), list.u32(at + 42)]
        let sizes = try largeNumbers(list, at + listedBytes + name, extra, stated)
        members.append(Member(
            name: try list.text(at + listedBytes, name, flags: flags), version: list.u16(at + 6), flags: flags,
            method: list.u16(at + 10), crc: list.u32(at + 16), packed: sizes[1], bytes: sizes[0],
            mode: list.u16(at + 40), start: sizes[2]
        ))
        at = next
    }
    return members
}

/// `stated`, where those that don't fit into 32 bits are in the extra field, in this order.
private func largeNumbers(_ list: Bytes, _ extra: Int, _ extraBytes: Int, _ stated: [Int]) throws -> [Int] {
    let damaged = refused("its list of members is damaged")
    var numbers = stated
    var at = extra
    while at + 4 <= extra + extraBytes {
        let next = at + 4 + list.u16(at + 2)
        if next > extra + extraBytes { throw damaged }
        if list.u16(at) == 1 {
            at += 4
            for index in numbers.indices where numbers[index] == forLarge {
                if at + 8 > next { throw damaged }
                numbers[index] = list.u64(at)
                at += 8
            }
        }
        at = next
    }
    if numbers.contains(where: { $0 < 0 }) { throw damaged }
    return numbers
}

/// Where the content of `member` begins, behind a header that says the same as the list.
private func dataStart(_ file: PlainFile, _ member: Member) throws -> Int {
    if member.start > file.bytes - localBytes { throw refused("\(member.shown) has no header") }
    let header = Bytes(try file.read(localBytes, at: member.start))
    if header.u32(0) != 0x0403_4b50 { throw refused("\(member.shown) has no header at byte \(member.start)") }
    let nameBytes = header.u16(26)
    let nameAt = member.start + localBytes
    let isThere = nameAt + nameBytes <= file.bytes
    let name = try isThere ? Bytes(file.read(nameBytes, at: nameAt)).text(0, nameBytes, flags: member.flags) : ""
    if ExactText(name) != ExactText(member.name) {
        throw refused("\(member.shown) has another name in its own header")
    }
    return nameAt + nameBytes + header.u16(28)
}

private func checkMembers(_ members: [Member]) throws {
    for member in members {
        let name = member.shown
        try checkRelativePath(member.isFolder ? String(member.name.dropLast()) : member.name, "bundle .zip")
        if ![0, 0x8000, 0x4000].contains(member.mode & 0xf000) {
            throw refused("\(name) is a link or a device: expected a regular file")
        }
        if member.isFolder && member.bytes > 0 { throw refused("\(name) is a folder with bytes of its own") }
        if member.flags & 0x61 != 0 { throw refused("\(name) is encrypted or a patch: expected plain members") }
        if member.version > newestVersion {
            throw refused("\(name) needs version \(member.version) of a reader: pack it again")
        }
        if member.method != 0 && member.method != 8 {
            throw refused("\(name) is neither stored nor deflated: pack it again")
        }
        if member.method == 0 && member.packed != member.bytes { throw refused("\(name) is stored, with two sizes") }
        if member.bytes > ratioFreeBytes && member.bytes > maxRatio * max(1, member.packed) {
            throw refused("\(name) unpacks from \(member.packed) to \(member.bytes) bytes: refused as a bomb")
        }
    }
    let total = members.reduce(0) { $0 + min($1.bytes, maxUnpackedBytes + 1) }
    let packed = members.reduce(0) { $0 + $1.packed }
    if total > maxUnpackedBytes { throw refused("unpacks to \(total) bytes: expected at most \(maxUnpackedBytes)") }
    if total > totalFreeBytes && total > maxRatio * packed {
        throw refused("unpacks from \(packed) to \(total) bytes: refused as a bomb")
    }
    try checkDistinct(members.filter { !$0.isFolder }.map(\.name), "bundle .zip")
}

private func unpack(_ file: PlainFile, _ member: Member, _ into: URL) throws {
    let target = into.appendingPathComponent(member.name)
    try makeFolder(target.deletingLastPathComponent())
    let out = try NewFile(target.path)
    var crc = Crc32()
    var written = 0
    func write(_ block: UnsafeRawBufferPointer) throws {
        written += block.count
        if written > member.bytes { throw refused("\(member.shown) is longer than the archive says") }
        crc.update(block)
        try out.write(block)
    }
    var at = try dataStart(file, member)
    let end = at + member.packed
    func nextBlock() throws -> [UInt8] {
        let block = try file.read(min(blockBytes, end - at), at: at)
        at += block.count
        return block
    }
    do {
        if member.method == 8 {
            try inflate(nextBlock, write)
        } else {
            while at < end { try nextBlock().withUnsafeBytes(write) }
        }
    } catch let error as InflateError {
        throw refused("\(member.shown) is damaged (\(error.problem)): get the file again")
    }
    if written != member.bytes || crc.value != UInt32(member.crc) {
        throw refused("\(member.shown) is damaged: get the file again")
    }
}

/// Little-endian numbers and texts at places that were checked.
private struct Bytes {
    private let bytes: [UInt8]

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var count: Int { bytes.count }

    func u16(_ at: Int) -> Int { Int(bytes[at]) | Int(bytes[at + 1]) << 8 }

    func u32(_ at: Int) -> Int { u16(at) | u16(at + 2) << 16 }

    /// Negative where it is beyond 63 bits.
    func u64(_ at: Int) -> Int { u32(at) | u32(at + 4) << 32 }

    /// A name, in UTF-8 where `flags` say so.
    func text(_ at: Int, _ count: Int, flags: Int) throws -> String {
        let name = bytes[at..<at + count]
        if flags & 0x800 == 0 {
            let scalars = name.map { $0 < 0x80 ? Unicode.Scalar($0) : oldLetters[Int($0) - 0x80] }
            return String(String.UnicodeScalarView(scalars))
        }
        let text = String(decoding: name, as: UTF8.self) // which replaces what isn't UTF-8
        if !text.utf8.elementsEqual(name) { throw refused("the name of a member isn't UTF-8: pack it again") }
        return text
    }
}

private struct Crc32 {
    private var state: UInt32 = .max

    var value: UInt32 { ~state }

    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        crcTable.withUnsafeBufferPointer { table in
            for byte in bytes { state = table[Int((state ^ UInt32(byte)) & 255)] ^ state >> 8 }
        }
    }
}

private let crcTable: [UInt32] = (0..<256).map { byte in
    (0..<8).reduce(UInt32(byte)) { value, _ in value & 1 == 1 ? 0xedb8_8320 ^ value >> 1 : value >> 1 }
}
