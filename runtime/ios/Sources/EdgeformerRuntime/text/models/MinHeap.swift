/// A heap that gives the smallest of its integers first.
struct MinHeap {
    private var items: [Int] = []

    /// `capacity`: of about how many integers at a time.
    init(capacity: Int) {
        items.reserveCapacity(capacity)
    }

    var isEmpty: Bool { items.isEmpty }

    mutating func push(_ value: Int) {
        var place = items.count
        items.append(value)
        while place > 0 {
            let parent = (place - 1) / 2
            if items[parent] <= value { break }
            items[place] = items[parent]
            place = parent
        }
        items[place] = value
    }

    /// Takes the smallest; there must be one.
    mutating func pop() -> Int {
        let smallest = items[0]
        let moved = items.removeLast()
        if items.isEmpty { return smallest }
        var place = 0
        while true {
            var child = 2 * place + 1
            if child >= items.count { break }
            if child + 1 < items.count && items[child + 1] < items[child] { child += 1 }
            if items[child] >= moved { break }
            items[place] = items[child]
            place = child
        }
        items[place] = moved
        return smallest
    }
}
