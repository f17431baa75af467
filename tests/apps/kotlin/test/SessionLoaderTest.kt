package edgeformer.runtime.test

import edgeformer.runtime.EngineError
import edgeformer.runtime.InputError
import edgeformer.runtime.Session
import edgeformer.runtime.android.SessionLoader
import java.util.concurrent.CancellationException
import java.util.concurrent.CountDownLatch
import java.util.concurrent.LinkedBlockingQueue
import java.util.concurrent.TimeUnit
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertSame
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** Loading while activities come and go; this thread is the main thread, whose calls wait in a queue. */
class SessionLoaderTest {
    private val main = LinkedBlockingQueue<() -> Unit>()
    private val begun = CountDownLatch(1)
    private val mayGoOn = CountDownLatch(1)
    private val told = ArrayList<Result<Session>>()
    private val opened = ArrayList<Session>()

    private val loader = SessionLoader({ main.add(it) }) { isCancelled ->
        begun.countDown()
        mayGoOn.await()
        if (isCancelled()) throw CancellationException("cancelled before the engine was asked")
        Session.open(Conformance.bundle("text-classification")).also { opened += it }
    }

    private fun mainLoopOnce() = (main.poll(60, TimeUnit.SECONDS) ?: error("nothing came to the main thread"))()

    @AfterEach
    fun close() = loader.close()

    @Test
    fun anActivityThatIsDestroyedHearsNothingAndTheNextOneGetsTheSession() {
        val first = loader.load { told += it }
        begun.await()
        first.close() // onDestroy, in the midst of the load
        val second = loader.load { told += it }
        mayGoOn.countDown()
        mainLoopOnce()
        val session = told.single().getOrThrow()
        assertEquals("text-classification", session.manifest.task.kind)
        second.close()
        loader.load { told += it }
        mainLoopOnce()
        assertSame(session, told.last().getOrThrow())
        assertEquals(1, opened.size)
    }

    @Test
    fun whoLeavesBeforeTheMainThreadComesToItHearsNothing() {
        val only = loader.load { told += it }
        mayGoOn.countDown()
        val call = main.poll(60, TimeUnit.SECONDS)!!
        only.close()
        call()
        assertTrue(told.isEmpty())
    }

    @Test
    fun closingWhileItLoadsCancelsAndTells() {
        loader.load { told += it }
        begun.await()
        loader.close()
        mayGoOn.countDown()
        mainLoopOnce()
        assertTrue(told.single().exceptionOrNull() is CancellationException)
        assertThrows(InputError::class.java) { loader.load { } }
        loader.close()
        assertTrue(opened.isEmpty())
    }

    @Test
    fun aSessionThatComesTooLateIsClosed() {
        val late = CountDownLatch(1)
        val closed = CountDownLatch(1)
        lateinit var session: Session
        val other = SessionLoader({ it() }) { isCancelled ->
            session = Session.open(Conformance.bundle("text-classification"))
            late.countDown()
            while (!isCancelled()) Thread.sleep(1)
            closed.countDown()
            session
        }
        other.load { told += it }
        late.await()
        other.close()
        closed.await()
        val giveUp = System.nanoTime() + 60_000_000_000
        while (isOpen(session) && System.nanoTime() < giveUp) Thread.sleep(1)
        assertTrue(!isOpen(session))
        assertTrue(told.single().exceptionOrNull() is CancellationException)
    }

    private fun isOpen(session: Session) = try {
        session.run(emptyMap())
        true
    } catch (error: InputError) {
        "closed" !in error.message!!
    }

    @Test
    fun closingTheLoaderClosesItsSession() {
        mayGoOn.countDown()
        loader.load { told += it }
        mainLoopOnce()
        loader.close()
        assertTrue(!isOpen(told.single().getOrThrow()))
    }

    @Test
    fun aFailureIsToldAndTheNextLoadTriesAnew() {
        var tries = 0
        val flaky = SessionLoader({ main.add(it) }) {
            if (++tries == 1) throw EngineError("no memory")
            Session.open(Conformance.bundle("text-classification"))
        }
        flaky.load { told += it }
        mainLoopOnce()
        assertTrue(told.single().exceptionOrNull() is EngineError)
        assertNull(told.single().getOrNull())
        flaky.load { told += it }
        mainLoopOnce()
        assertTrue(told.last().isSuccess)
        flaky.close()
    }
}
