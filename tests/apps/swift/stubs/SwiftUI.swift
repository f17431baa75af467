@_exported import Foundation

@MainActor @preconcurrency
public protocol View {
    associatedtype Body: View
    @ViewBuilder var body: Body { get }
}

extension Never: View {
    public var body: Never { return fatalError() }
}

public struct AnyView: View {
    public var body: Never { return fatalError() }
}

@resultBuilder
public enum ViewBuilder {
    public static func buildBlock(_: any View...) -> AnyView { fatalError() }
    public static func buildOptional(_: AnyView?) -> AnyView { fatalError() }
    public static func buildEither(first: AnyView) -> AnyView { fatalError() }
    public static func buildEither(second: AnyView) -> AnyView { fatalError() }
}

@MainActor @preconcurrency
public protocol Scene {}

@resultBuilder
public enum SceneBuilder {
    public static func buildBlock<Content: Scene>(_ content: Content) -> Content { content }
}

@MainActor @preconcurrency
public protocol App {
    associatedtype Body: Scene
    @SceneBuilder var body: Body { get }
    init()
}

extension App {
    public static func main() { fatalError() }
}

public struct WindowGroup: Scene {
    public init(@ViewBuilder content: () -> some View) { fatalError() }
}

@propertyWrapper
public struct State<Value> {
    public init(wrappedValue: Value) { fatalError() }
    public init() where Value: ExpressibleByNilLiteral { fatalError() }
    public var wrappedValue: Value {
        get { fatalError() }
        nonmutating set { fatalError() }
    }
    public var projectedValue: Binding<Value> { fatalError() }
}

public struct Binding<Value> {}

public struct Form: View {
    public init(@ViewBuilder content: () -> some View) { fatalError() }
    public var body: Never { return fatalError() }
}

public struct Section: View {
    public init(_ title: String, @ViewBuilder content: () -> some View) { fatalError() }
    public var body: Never { return fatalError() }
}

public struct Text: View {
    public init(_ text: some StringProtocol) { fatalError() }
    public var body: Never { return fatalError() }
}

public struct TextField: View {
    public init(_ title: String, text: Binding<String>) { fatalError() }
    public var body: Never { return fatalError() }
}

public struct Button: View {
    public init(_ title: String, action: @escaping @MainActor () -> Void) { fatalError() }
    public var body: Never { return fatalError() }
}

public struct ForEach<Data: RandomAccessCollection, ID: Hashable>: View {
    public init(_ data: Data, id: KeyPath<Data.Element, ID>, @ViewBuilder content: (Data.Element) -> some View) {
        fatalError()
    }
    public var body: Never { return fatalError() }
}

public struct ShareLink: View {
    public init(item: URL) { fatalError() }
    public var body: Never { return fatalError() }
}

extension View {
    public func disabled(_: Bool) -> some View { self }
    public func task(_ action: @escaping @MainActor @Sendable () async -> Void) -> some View { self }
    public func onChange<Value: Equatable>(of: Value, perform: @escaping (Value) -> Void) -> some View { self }
}
