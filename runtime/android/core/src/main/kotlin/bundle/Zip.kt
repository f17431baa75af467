package edgeformer.runtime.bundle

import edgeformer.runtime.ErrorCode
import edgeformer.runtime.RuntimeBundleError
import java.io.File
import java.io.IOException
import java.io.RandomAccessFile
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.charset.CharacterCodingException
import java.util.zip.CRC32
import java.util.zip.DataFormatException
import java.util.zip.Inflater

private const val MAX_MEMBERS = 10_000
private const val MAX_DIRECTORY_BYTES = 16L shl 20
private const val MAX_UNPACKED_BYTES = 16L shl 30
private const val MAX_RATIO = 200L // unpacked to packed; weights stay below 20, a bomb is at 1,000
private const val RATIO_FREE_BYTES = 1L shl 20 // small files may be as repetitive as they like
private const val TOTAL_FREE_BYTES = 32L shl 20 // unless there are many
private const val END_BYTES = 22
private const val LISTED_BYTES = 46
private const val LOCAL_BYTES = 30
private const val BLOCK_BYTES = 1 shl 16
private const val FOR_LARGE = 0xffffffffL // "look into the record of a large archive"
private const val LARGE_END_BYTES = 56
private const val LARGE_LOCATOR_BYTES = 20
private const val NEWEST_VERSION = 63

/** Code page 437 from 0x80 on: names that aren't said to be UTF-8 are in it. */
private const val OLD_LETTERS = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐" +
    "└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0"

private class Member(
    val name: String,
    val version: Int,
    val flags: Int,
    val method: Int,
    val crc: Long,
    val packed: Long,
    val bytes: Long,
    val mode: Int,
    val start: Long,
) {
    val isFolder get() = name.endsWith("/")
}

private fun refused(problem: String): Nothing = throw RuntimeBundleError("bundle .zip: $problem", ErrorCode.ZIP)

/**
 * Unpack the .zip [archive] into the empty folder [into], trusting nothing of it: members lie one after another from
 * the first byte on, stored or deflated, without links, encryption, comment or bombs. Raises RuntimeBundleError.
 */
internal fun unzip(archive: File, into: File) = try {
    RandomAccessFile(archive, "r").use { file ->
        val members = readMembers(file)
        checkMembers(members)
        if (members.sumOf { it.bytes } > into.usableSpace) {
            refused("unpacks to more than the ${into.usableSpace} bytes that $into has free: make room")
        }
        for (member in members) if (!member.isFolder) unpack(file, member, File(into, member.name))
    }
} catch (error: IOException) {
    throw RuntimeBundleError("bundle $archive: can't be unpacked into $into: $error", ErrorCode.ZIP, error)
}

/** Where the list of members lies: [start] and [bytes] in the file, and how many it says. */
private class Layout(val members: Long, val start: Long, val bytes: Long)

private fun readLayout(file: RandomAccessFile): Layout {
    val endAt = file.length() - END_BYTES
    if (endAt < 0) refused("is too short for one")
    val end = file.bytesAt(endAt, END_BYTES)
    if (end.getInt(0) != 0x06054b50 || end.u16(20) != 0) refused("doesn't end as one, or has a comment at its end")
    if ((4..10 step 2).any { end.u16(it) == 0xffff } || end.u32(12) == FOR_LARGE || end.u32(16) == FOR_LARGE) {
        return readLargeLayout(file, endAt - LARGE_LOCATOR_BYTES - LARGE_END_BYTES)
    }
    if (end.u16(4) != 0 || end.u16(6) != 0 || end.u16(8) != end.u16(10)) refused("is one of several volumes")
    return checked(Layout(end.u16(10).toLong(), end.u32(16), end.u32(12)), endAt)
}

/** The same of an archive beyond 4 GiB or 65,535 members. */
private fun readLargeLayout(file: RandomAccessFile, at: Long): Layout {
    if (at < 0) refused("lacks the record of a large archive")
    val end = file.bytesAt(at, LARGE_END_BYTES)
    val locator = file.bytesAt(at + LARGE_END_BYTES, LARGE_LOCATOR_BYTES)
    if (end.getInt(0) != 0x06064b50 || locator.getInt(0) != 0x07064b50 || locator.getInt(4) != 0 ||
        locator.getLong(8) != at || locator.getInt(16) != 1
    ) {
        refused("lacks the record of a large archive")
    }
    if (end.getInt(16) != 0 || end.getInt(20) != 0 || end.getLong(24) != end.getLong(32)) {
        refused("is one of several volumes")
    }
    return checked(Layout(end.getLong(32), end.getLong(48), end.getLong(40)), at)
}

private fun checked(layout: Layout, endAt: Long): Layout {
    if (layout.members !in 0..MAX_MEMBERS || layout.bytes !in 0..MAX_DIRECTORY_BYTES) {
        refused("holds ${layout.members} members in ${layout.bytes} bytes: expected at most $MAX_MEMBERS")
    }
    if (layout.start < 0 || layout.start != endAt - layout.bytes) refused("its list of members ends before byte $endAt")
    return layout
}

/** The list of members, once it is sure where each of them lies. */
private fun readMembers(file: RandomAccessFile): List<Member> {
    val layout = readLayout(file)
    val start = layout.start
    val list = file.bytesAt(start, layout.bytes.toInt())
    val members = ArrayList<Member>()
    var at = 0
    while (at < list.limit()) {
        if (list.limit() - at < LISTED_BYTES || list.getInt(at) != 0x02014b50) refused("its list of members is damaged")
        val next = at + LISTED_BYTES + list.u16(at + 28) + list.u16(at + 30) + list.u16(at + 32)
        if (next > list.limit()) refused("its list of members is damaged")
        members += readMember(list, at)
        at = next
    }
    if (members.size.toLong() != layout.members) {
        refused("says that it has ${layout.members} members, and lists ${members.size}")
    }
    var free = 0L
    for (member in members.sortedBy { it.start }) {
        if (member.start < free || (free == 0L && member.start != 0L)) {
            refused(
                "'${member.name.take(200)}' starts at byte ${member.start}, where another one or nothing of it may be"
            )
        }
        free = dataStart(file, member)
        if (member.packed > start - free) refused("'${member.name.take(200)}' reaches into the list of members")
        free += member.packed
    }
    return members
}

private fun readMember(list: ByteBuffer, at: Int): Member {
    val flags = list.u16(at + 8)
    val nameBytes = list.u16(at + 28)
    val stated = longArrayOf(list.u32(at + 24), list.u32(at + 20), list.u32(at + 42))
    val (bytes, packed, start) = largeNumbers(list, at + LISTED_BYTES + nameBytes, list.u16(at + 30), stated)
    return Member(
        name = list.text(at + LISTED_BYTES, nameBytes, isUtf8(flags)),
        version = list.u16(at + 6),
        flags = flags,
        method = list.u16(at + 10),
        crc = list.u32(at + 16),
        packed = packed,
        bytes = bytes,
        mode = list.u16(at + 40),
        start = start,
    )
}

/** [stated], where those that don't fit into 32 bits are in the extra field, in this order. */
private fun largeNumbers(list: ByteBuffer, extra: Int, extraBytes: Int, stated: LongArray): LongArray {
    var at = extra
    val end = extra + extraBytes
    while (at + 4 <= end) {
        val next = at + 4 + list.u16(at + 2)
        if (next > end) refused("its list of members is damaged")
        if (list.u16(at) == 1) {
            at += 4
            for (index in stated.indices) {
                if (stated[index] != FOR_LARGE) continue
                if (at + 8 > next) refused("its list of members is damaged")
                stated[index] = list.getLong(at)
                at += 8
            }
        }
        at = next
    }
    if (stated.any { it < 0 }) refused("its list of members is damaged")
    return stated
}

private fun isUtf8(flags: Int) = flags and 0x800 != 0

/** Where the content of [member] begins, behind a header that says the same as the list. */
private fun dataStart(file: RandomAccessFile, member: Member): Long {
    if (member.start > file.length() - LOCAL_BYTES) refused("'${member.name.take(200)}' has no header")
    val header = file.bytesAt(member.start, LOCAL_BYTES)
    if (header.getInt(0) != 0x04034b50) refused("'${member.name.take(200)}' has no header at byte ${member.start}")
    val nameBytes = header.u16(26)
    if (member.start + LOCAL_BYTES + nameBytes > file.length() ||
        file.bytesAt(member.start + LOCAL_BYTES, nameBytes).text(0, nameBytes, isUtf8(member.flags)) != member.name
    ) {
        refused("'${member.name.take(200)}' has another name in its own header")
    }
    return member.start + LOCAL_BYTES + nameBytes + header.u16(28)
}

private fun checkMembers(members: List<Member>) {
    for (member in members) {
        val name = member.name
        checkRelativePath(name.removeSuffix("/"), "bundle .zip")
        if (member.mode and 0xf000 !in setOf(0, 0x8000, 0x4000)) {
            refused("'$name' is a link or a device: expected a regular file")
        }
        if (member.isFolder && member.bytes > 0) refused("'$name' is a folder with ${member.bytes} bytes of its own")
        if (member.flags and 0x61 != 0) refused("'$name' is encrypted or a patch: expected plain members")
        if (member.version > NEWEST_VERSION) refused("'$name' is for a reader of version ${member.version}: pack anew")
        if (member.method != 0 && member.method != 8) refused("'$name' is neither stored nor deflated: pack it again")
        if (member.method == 0 && member.packed != member.bytes) refused("'$name' is stored, with two sizes")
        if (member.bytes > RATIO_FREE_BYTES && member.bytes > MAX_RATIO * maxOf(1, member.packed)) {
            refused("'$name' unpacks from ${member.packed} to ${member.bytes} bytes: refused as a bomb")
        }
    }
    val total = members.sumOf { minOf(it.bytes, MAX_UNPACKED_BYTES + 1) }
    val packed = members.sumOf { it.packed }
    if (total > MAX_UNPACKED_BYTES) refused("unpacks to $total bytes: expected at most $MAX_UNPACKED_BYTES")
    if (total > TOTAL_FREE_BYTES && total > MAX_RATIO * packed) {
        refused("unpacks from $packed to $total bytes: refused as a bomb")
    }
    checkDistinct(members.filterNot { it.isFolder }.map { it.name }, "bundle .zip")
}

private fun unpack(file: RandomAccessFile, member: Member, target: File) {
    target.parentFile?.mkdirs()
    val crc = CRC32()
    var written = 0L
    target.outputStream().use { out ->
        fun write(block: ByteArray, count: Int) {
            written += count
            if (written > member.bytes) refused("'${member.name}' is longer than the archive says")
            crc.update(block, 0, count)
            out.write(block, 0, count)
        }
        file.seek(dataStart(file, member))
        if (member.method == 0) eachBlock(file, member.packed, ::write) else inflate(file, member, ::write)
    }
    if (written != member.bytes || crc.value != member.crc) refused("'${member.name}' is damaged: get the file again")
}

private fun eachBlock(file: RandomAccessFile, bytes: Long, write: (ByteArray, Int) -> Unit) {
    val block = ByteArray(BLOCK_BYTES)
    var left = bytes
    while (left > 0) {
        val count = file.read(block, 0, minOf(left, BLOCK_BYTES.toLong()).toInt())
        if (count < 0) refused("ends within a member: get the file again")
        write(block, count)
        left -= count
    }
}

private fun inflate(file: RandomAccessFile, member: Member, write: (ByteArray, Int) -> Unit) {
    val inflater = Inflater(true)
    val out = ByteArray(BLOCK_BYTES)
    try {
        eachBlock(file, member.packed) { block, count ->
            inflater.setInput(block, 0, count)
            while (!inflater.finished()) {
                val made = inflater.inflate(out)
                if (made == 0 && (inflater.needsInput() || inflater.needsDictionary())) break
                write(out, made)
            }
        }
        if (!inflater.finished()) refused("'${member.name}' is damaged: get the file again")
    } catch (error: DataFormatException) {
        refused("'${member.name}' is damaged ($error): get the file again")
    } finally {
        inflater.end()
    }
}

private fun RandomAccessFile.bytesAt(position: Long, count: Int): ByteBuffer {
    val bytes = ByteArray(count)
    seek(position)
    readFully(bytes)
    return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN)
}

private fun ByteBuffer.u16(at: Int): Int = getShort(at).toInt() and 0xffff

private fun ByteBuffer.u32(at: Int): Long = getInt(at).toLong() and FOR_LARGE

private fun ByteBuffer.text(at: Int, bytes: Int, isUtf8: Boolean): String {
    if (!isUtf8) {
        return String(CharArray(bytes) {
            val byte = get(at + it).toInt()
            if (byte < 0) OLD_LETTERS[byte + 0x80] else byte.toChar()
        })
    }
    try {
        return Charsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(array(), at, bytes)).toString()
    } catch (error: CharacterCodingException) {
        refused("the name of a member isn't UTF-8 ($error): pack it again")
    }
}
