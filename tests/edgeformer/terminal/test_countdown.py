from edgeformer.terminal import countdown


def test_lines_come_seconds_apart_and_tell_the_time_left(monkeypatch):
    now, said = [100.0], []
    monkeypatch.setattr(countdown.time, "monotonic", lambda: now[0])
    line = countdown.Countdown(said.append, "work: parts")
    for done in range(20):
        line.at(done, 20)
        now[0] += 1.0
    assert said == [
        "work: parts, 5 of 20, about 15 s left",
        "work: parts, 10 of 20, about 10 s left",
        "work: parts, 15 of 20, about 5 s left",
    ]


def test_parts_of_equal_size_count_as_one_row(monkeypatch):
    now, said = [0.0], []
    monkeypatch.setattr(countdown.time, "monotonic", lambda: now[0])
    line = countdown.Countdown(said.append, "work")
    now[0] = 6.0
    line.at_part(1, 3, 5, 10)
    assert said == ["work, 15 of 30, about 6 s left"]
