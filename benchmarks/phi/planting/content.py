"""Structured reports, presentation states, waveform annotations and encapsulated documents."""

from datetime import timedelta
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from phi.folding import fold, spellings
from phi.key import Act
from phi.objects import code, content
from phi.places import named_items
from phi.planting.phrases import mixed
from phi.planting.plot import Mixed, Plot, path_of, telling
from phi.portable_document import document

_LONG: Final = 400


def plant_content(plot: Plot) -> None:
    """Plant in what is special about the object's kind; nothing where it is a plain image."""
    dataset = plot.dataset
    if "ContentSequence" in dataset:
        _plant_report(plot)
    if "GraphicAnnotationSequence" in dataset:
        _plant_graphics(plot)
    if "WaveformSequence" in dataset:
        _plant_annotation(plot)
    if "EncapsulatedDocument" in dataset:
        _plant_document(plot)
    if "StructureSetROISequence" in dataset:
        _plant_regions(plot)
    if "SegmentSequence" in dataset:
        _plant_segment(plot)


def _plant_report(plot: Plot) -> None:
    dataset, person = plot.dataset, plot.person
    items = dataset.ContentSequence
    comment = code("121106", "DCM", "Comment")
    for kind in plot.rng.sample(("name, given", "Frau/Herr", "birth date de", "phone", "id", "physician"), 3):
        text = mixed(plot, kind, _LONG)
        if text is None:
            continue
        letter = _letter(text)
        plot.mix(
            _added(items, content("TEXT", comment, TextValue=letter.text), "0040A160"),
            f"SR text: {kind}",
            letter,
        )
    subject, observer = plot.text(person.alphabetic), "^".join(person.performing)
    for concept, name in (
        (("121029", "Subject Name"), subject),
        (("121008", "Person Observer Name"), observer),
    ):
        item = content("PNAME", code(concept[0], "DCM", concept[1]), "HAS OBS CONTEXT", PersonName=name)
        plot.remove(_added(items, item, "0040A123"), "SR person name", name)
    item = content(
        "TEXT", code("121030", "DCM", "Subject ID"), "HAS OBS CONTEXT", TextValue=person.patient_id
    )
    plot.remove(
        _added(items, item, "0040A160"),
        "SR observation context",
        person.patient_id,
        spellings(person.patient_id),
    )
    _plant_report_uids(plot, items)
    _plant_report_dates(plot, items)
    meaning = mixed(plot, "given name")
    if meaning is not None:
        finding = content("CODE", code("121071", "DCM", "Finding"))
        finding.ConceptCodeSequence = Sequence([code("X17", "99LOCAL", meaning.text)])
        plot.mix(_added(items, finding, "0040A168[0].00080104"), "SR code meaning", meaning)
    _plant_verifier(plot)


def _plant_verifier(plot: Plot) -> None:
    dataset, person = plot.dataset, plot.person
    verifier = Dataset()
    verifier.VerifyingObserverName = "^".join(person.referring)
    verifier.VerifyingOrganization = plot.text(person.institution)
    verifier.VerificationDateTime = f"{plot.day:%Y%m%d}101010"
    verifier.VerifyingObserverIdentificationCodeSequence = Sequence([])
    dataset.VerifyingObserverSequence = Sequence([verifier])
    plot.remove("0040A073[0].0040A075", "SR observer", str(verifier.VerifyingObserverName))
    plot.remove("0040A073[0].0040A027", "SR observer", person.institution)


def _letter(text: Mixed) -> Mixed:
    """Return *text* inside sentences of a report, which stay."""
    around = "Kein Anhalt fuer Frische Blutung. Befund: {} Beurteilung: unveraendert."
    kept = ("anhalt", "blutung", "befund", "beurteilung", "unveraendert", *text.kept)
    return Mixed(around.format(text.text + "."), text.gone, kept)


def _added(items: Sequence, item: Dataset, inner: str) -> str:
    """Append *item* to the content and return the place of *inner* in it."""
    items.append(item)
    name = list(named_items("0040A730", items))[-1][0]
    return f"0040A730[{name}].{inner}"


def _plant_report_uids(plot: Plot, items: Sequence) -> None:
    tracking = plot.new_uid()
    paths = []
    for concept in (
        code("112040", "DCM", "Tracking Unique Identifier"),
        code("121232", "DCM", "Source series for segmentation"),
    ):
        paths.append(_added(items, content("UIDREF", concept, UID=tracking), "0040A124"))
        plot.expect(paths[-1], Act.UID_CHANGED, "SR UIDREF", tracking)
    plot.expect(paths[0], Act.UID_CONSISTENT, "SR UIDREF", other=f"{plot.name}|{paths[1]}")
    other = next((sibling for sibling in plot.siblings if sibling is not plot), None)
    if other is None:
        return
    image, reference = content("IMAGE", code("121112", "DCM", "Source of Measurement")), Dataset()
    reference.ReferencedSOPClassUID = other.dataset.SOPClassUID
    reference.ReferencedSOPInstanceUID = other.dataset.SOPInstanceUID
    image.ReferencedSOPSequence = Sequence([reference])
    path = _added(items, image, "00081199[0].00081155")
    plot.uids.add(str(other.dataset.SOPInstanceUID))
    plot.expect(path, Act.UID_CHANGED, "nested UID", str(other.dataset.SOPInstanceUID))
    plot.expect(path, Act.UID_CONSISTENT, "reference", other=f"{other.name}|00080018")


def _plant_report_dates(plot: Plot, items: Sequence) -> None:
    study = f"{plot.name}|{path_of('StudyDate')}"
    day = f"{plot.day + timedelta(days=plot.rng.choice((0, 2, 9))):%Y%m%d}"
    path = _added(items, content("DATE", code("111060", "DCM", "Study Date"), Date=day), "0040A121")
    plot.expect(path, Act.DATE_CHANGED, "SR date", day)
    plot.expect(path, Act.DATE_INTERVAL, "interval in a report", day, other=study)
    started = content("DATETIME", code("111526", "DCM", "DateTime Started"), DateTime=f"{day}111213")
    path = _added(items, started, "0040A120")
    plot.expect(path, Act.DATE_CHANGED, "SR date", f"{day}111213")
    plot.expect(path, Act.DATE_INTERVAL, "interval in a report", f"{day}111213", other=study)


def _plant_graphics(plot: Plot) -> None:
    dataset = plot.dataset
    places = (
        ("00700001[0].00700008[0].00700006", "graphic text"),
        ("00700081", "graphic description"),
        ("00700060[0].00700068", "graphic layer"),
    )
    holders = (
        (dataset.GraphicAnnotationSequence[0].TextObjectSequence[0], "UnformattedTextValue"),
        (dataset, "ContentDescription"),
        (dataset.GraphicLayerSequence[0], "GraphicLayerDescription"),
    )
    for (path, category), (holder, keyword) in zip(places, holders, strict=True):
        text = mixed(plot, plot.rng.choice(("name, given", "birth date de", "Pat. name", "id")))
        if text is not None:
            setattr(holder, keyword, text.text)
            plot.mix(path, category, text)
    plot.plant("ContentCreatorName", "^".join(plot.person.performing), "graphics")


def _plant_annotation(plot: Plot) -> None:
    text = plot.text(f"{plot.person.family}, {plot.person.given}")
    note = Dataset()
    note.UnformattedTextValue, note.ReferencedWaveformChannels = text, [1, 1]
    plot.dataset.WaveformAnnotationSequence = Sequence([note])
    plot.remove("0040B020[0].00700006", "waveform annotation", text)


def _plant_regions(plot: Plot) -> None:
    regions = plot.dataset.StructureSetROISequence
    if regions:
        text = plot.text(f"GTV {plot.person.given} {plot.person.family}")
        regions[0].ROIName = text
        plot.remove("30060020[0].30060026", "ROI name", text, gone=spellings(plot.text(plot.person.family)))


def _plant_segment(plot: Plot) -> None:
    text = mixed(plot, "name, given")
    if text is not None and plot.dataset.SegmentSequence:
        plot.dataset.SegmentSequence[0].SegmentDescription = text.text
        plot.mix("00620002[0].00620006", "segment", text)


def _plant_document(plot: Plot) -> None:
    """Write a letter with the person in its text, information dictionary and XMP packet."""
    person = plot.person
    name = person.alphabetic.replace("^", ", ")
    lines = [
        "Befundbericht",
        f"{name}, geb. {person.born:%d.%m.%Y}",
        f"ID {person.patient_id}",
        person.address,
    ]
    author = " ".join(reversed(person.performing))
    information = {"Title": f"Befund {name}", "Author": f"Dr. {author}"}
    plot.dataset.EncapsulatedDocument = document(lines, information, f"Dr. {author}")
    path = path_of("EncapsulatedDocument")
    gone = {fold(person.patient_id), f"{person.born:%d.%m.%Y}", *telling(author)}
    plot.remove(path, "PDF", " ".join(lines), tuple(sorted(gone)))
    title = mixed(plot, "name, given")
    if title is not None:
        plot.dataset.DocumentTitle = title.text
        plot.remove(path_of("DocumentTitle"), "PDF", title.text, title.gone)
