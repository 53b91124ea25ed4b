"""The words for every code, in three languages; ``schemas.words`` reads them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Words(NamedTuple):
    """What a code means: English, German, Chinese."""

    en: str
    de: str
    zh: str


_REASONS = {
    "eligible": Words("may be told, and is", "darf informiert werden und wird es", "可以告知, 并已告知"),
    "hold_out": Words("may be told, but is in the group that is not, for comparison",
                      "in der Vergleichsgruppe ohne Nachricht",
                      "在不告知的对照组中"),
    "opted_out": Words("revoked every contact", "hat jeden Kontakt widerrufen", "已拒绝一切联系"),
    "no_consent": Words("has not agreed to be told about service trouble on a channel of ours",
                        "hat nicht eingewilligt, auf einem unserer Kanäle informiert zu werden", "未同意接收通知"),
    "no_address": Words("has agreed, but there is no address", "hat eingewilligt, aber es fehlt die Adresse",
                        "已同意, 但没有地址"),
    "no_profile": Words("nothing is known about consent", "über eine Einwilligung ist nichts bekannt",
                        "不清楚是否同意"),
    "unreadable": Words("the newest profile cannot be read: it may be an opt-out", "das Profil ist nicht lesbar",
                        "客户资料无法读取"),
    "erased": Words("was erased: there is nobody to tell", "wurde gelöscht: niemand zu informieren",
                    "已被删除, 无人可告知"),
    "already_contacted": Words("has contacted us about it already", "hat sich schon bei uns gemeldet",
                               "已就此联系过我们"),
    "no_words": Words("nobody has written words about this kind of problem", "für diese Art Störung fehlt ein Text",
                      "没有针对此类问题的文案"),
    "put_right": Words("it was put right for this customer meanwhile", "für diesen Kunden wurde es behoben",
                       "该客户的问题已解决"),
    "resolved": Words("the issue is over", "die Störung ist vorbei", "问题已结束"),
    "regressed": Words("the issue is back, so no all-clear", "die Störung ist zurück, keine Entwarnung",
                       "问题再次出现, 不发解除通知"),
    "unrepaired": Words("this customer's failure is back, so no all-clear",
                        "bei diesem Kunden ist sie zurück, keine Entwarnung", "该客户的问题再次出现, 不发解除通知"),
    "replayed": Words("comes from a played file or a drill, not from what happens now",
                      "stammt aus einer Wiedergabe oder Übung",
                      "来自回放或演练"),
    "expired": Words("could not be told in time", "konnte nicht rechtzeitig informiert werden", "未能及时告知"),
    "time_zone": Words("nobody knows when it is night there", "unbekannt, wann dort Nacht ist", "不知道当地何时是夜间"),
    "quiet_hours": Words("it is night there", "dort ist Nacht", "当地是夜间"),
    "budget": Words("was told enough lately", "wurde zuletzt genug informiert", "近期通知已足够"),
    "approval": Words("many are hit: a person must approve", "viele betroffen: ein Mensch muss freigeben",
                      "受影响者众多, 须人工批准"),
    "muted": Words("an operator muted the issue", "stummgeschaltet", "操作员已将该问题静音"),
    "stopped": Words("an operator stopped every send", "jeder Versand wurde angehalten", "操作员已停止一切发送"),
    "deadline": Words("could not be told in time", "konnte nicht rechtzeitig informiert werden", "未能及时告知"),
    "no_notice": Words("got no notice, so no all-clear", "bekam keine Nachricht, also keine Entwarnung",
                       "未收到通知, 故不发解除通知"),
    "notice": Words("its notice comes first", "zuerst kommt die Nachricht", "先发通知"),
    "astray": Words("its profile is on its way to the right partition", "das Profil ist noch unterwegs",
                    "客户资料尚在途中"),
    "channel": Words("the channel accepts nothing", "der Kanal nimmt nichts an", "渠道不接收"),
    "unproven": Words("the sender has not proved yet that it is the only one", "der Sender ist noch nicht bestätigt",
                      "发送程序尚未确认"),
    "stale": Words("what the sender knows is too old", "das Wissen des Senders ist zu alt", "发送程序的信息过旧"),
    "unconfirmed": Words("nobody knows whether it arrived", "unbekannt, ob es ankam", "不知道是否送达"),
    "accepted": Words("the receiver accepted it", "der Empfänger hat es angenommen", "接收方已接受"),
    "timeout": Words("the receiver did not answer in time", "der Empfänger antwortete nicht rechtzeitig",
                     "接收方未及时应答"),
    "unreachable": Words("the receiver cannot be reached", "der Empfänger ist nicht erreichbar", "无法连接接收方"),
    "connection_lost": Words("the connection broke", "die Verbindung brach ab", "连接中断"),
    "redirect": Words("the receiver moved", "der Empfänger ist umgezogen", "接收方已迁移"),
    "gone": Words("the receiver said that it is gone", "der Empfänger meldet: gibt es nicht mehr", "接收方已不存在"),
    "address_forbidden": Words("an address that nothing may be sent to", "an diese Adresse darf nichts gesendet werden",
                               "不允许发送到该地址"),
    "http": Words("the receiver answered {}", "der Empfänger antwortete mit {}", "接收方应答 {}"),
}
_DEAD_LETTERS = {
    "tombstone": Words("no content", "ohne Inhalt", "没有内容"),
    "too_large": Words("too large", "zu groß", "过大"),
    "utf8": Words("not UTF-8", "kein UTF-8", "不是 UTF-8"),
    "json": Words("not JSON", "kein JSON", "不是 JSON"),
    "future_schema": Words("of a newer version of the contract", "aus einer neueren Version des Vertrags",
                           "来自更新的契约版本"),
    "ambiguous": Words("one name with two values", "ein Name mit zwei Werten", "同名字段有两个值"),
    "time": Words("a time in the wrong unit", "Zeit in falscher Einheit", "时间单位错误"),
    "schema": Words("a field breaks the contract", "ein Feld bricht den Vertrag", "字段违反契约"),
    "kind": Words("of a kind that the topic does not have", "von unbekannter Art", "类型未知"),
    "future_time": Words("a time in the future", "Zeit in der Zukunft", "时间在将来"),
    "erasure": Words("the customer was erased", "der Kunde wurde gelöscht", "客户已被删除"),
    "mapping": Words("the mapping does not fit", "die Zuordnung passt nicht", "映射不匹配"),
    "row": Words("the row cannot be read", "die Zeile ist nicht lesbar", "该行无法读取"),
    "unsigned": Words("an order without a signature", "Anweisung ohne Signatur", "指令没有签名"),
    "unknown_actor": Words("an order of somebody unknown", "Anweisung eines Unbekannten", "下令者未知"),
    "wrong_signature": Words("an order with a wrong signature", "Anweisung mit falscher Signatur", "指令签名错误"),
    "stale": Words("an order that is too old", "veraltete Anweisung", "指令过期"),
    "repeated": Words("an order given before", "wiederholte Anweisung", "重复的指令"),
    "unknown": Words("nobody knows why", "Grund unbekannt", "原因不明"),
}
_ATTRIBUTES = {
    "app_version": Words("app version", "App-Version", "应用版本"),
    "platform": Words("platform", "Plattform", "平台"),
    "device_model": Words("device", "Gerät", "设备"),
    "firmware": Words("firmware", "Firmware", "固件"),
    "component": Words("component", "Bereich", "组件"),
    "payment_provider": Words("payment provider", "Zahlungsanbieter", "支付服务商"),
    "payment_method": Words("payment method", "Zahlart", "支付方式"),
    "carrier": Words("carrier", "Zusteller", "承运商"),
    "warehouse": Words("warehouse", "Lager", "仓库"),
    "channel": Words("channel", "Kanal", "渠道"),
    "region": Words("region", "Region", "地区"),
}
_LOCATIONS = {
    "": Words("everywhere in {}", "überall in {}", "{} 全线"),
    "*": Words("where {} is {}", "wo {} {} ist", "{} 为 {} 处"),
    "component": Words("in component {}", "im Bereich {}", "组件 {}"),
    "app_version": Words("in app version {}", "in App-Version {}", "应用版本 {}"),
    "platform": Words("on {}", "auf {}", "平台 {}"),
    "device_model": Words("on device {}", "auf Gerät {}", "设备 {}"),
    "firmware": Words("with firmware {}", "mit Firmware {}", "固件 {}"),
    "payment_provider": Words("at payment provider {}", "beim Zahlungsanbieter {}", "支付服务商 {}"),
    "payment_method": Words("with payment method {}", "mit Zahlart {}", "支付方式 {}"),
    "carrier": Words("with carrier {}", "mit Zusteller {}", "承运商 {}"),
    "warehouse": Words("at warehouse {}", "im Lager {}", "仓库 {}"),
    "channel": Words("on channel {}", "im Kanal {}", "渠道 {}"),
    "region": Words("in {}", "in {}", "地区 {}"),
}
"""Attribute -> where a value of it is; ``*``: of any other attribute (its words, the value); empty: no attribute (the
service line)."""

_KINDS: dict[str, dict[str, Words]] = {
    "reason": _REASONS,
    "letter": _DEAD_LETTERS,
    "attribute": _ATTRIBUTES,
    "place": _LOCATIONS,
    "signal": {
        "app": Words("App fails", "App gestört", "应用故障"),
        "payment": Words("Payments fail", "Zahlungen scheitern", "支付失败"),
        "delivery": Words("Deliveries are late", "Lieferungen sind verspätet", "配送延误"),
        "contact": Words("Customers report problems", "Kunden melden Probleme", "客户反映问题"),
    },
    "state": {
        "suspected": Words("suspected", "Verdacht", "疑似"),
        "open": Words("open", "offen", "未解决"),
        "escalating": Words("getting worse", "wird schlimmer", "正在恶化"),
        "recovering": Words("recovering", "erholt sich", "正在恢复"),
        "resolved": Words("over", "vorbei", "已结束"),
        "regressed": Words("back again", "wieder da", "再次出现"),
    },
    "end": {
        "recovered": Words("normal again", "wieder normal", "已恢复正常"),
        "accepted": Words("taken as the new normal", "gilt als neues Normal", "视为新的常态"),
        "resolved": Words("an operator said that it is over", "von einem Menschen beendet", "操作员宣布结束"),
        "withdrawn": Words("came to nothing", "hat sich nicht bestätigt", "未得到证实"),
    },
    "severity": {
        "low": Words("low", "gering", "低"),
        "medium": Words("medium", "mittel", "中"),
        "high": Words("high", "hoch", "高"),
        "critical": Words("critical", "kritisch", "严重"),
    },
    "element": {
        "staff": Words("staff", "Personal", "人员"),
        "facility": Words("facility", "Einrichtung", "设施"),
        "customer": Words("the customer's own doing", "der Kunde selbst", "客户自身"),
        "process": Words("process", "Ablauf", "流程"),
    },
    "decision": {
        "send": Words("send", "senden", "发送"),
        "hold": Words("hold", "warten", "等待"),
        "refuse": Words("refuse", "nicht senden", "拒绝"),
        "hold_out": Words("hold out", "Vergleichsgruppe", "对照组"),
    },
    "stage": {
        "notice": Words("notice", "Nachricht", "通知"),
        "all_clear": Words("all-clear", "Entwarnung", "解除通知"),
    },
    "status": {
        "sent": Words("sent", "gesendet", "已发送"),
        "pending": Words("on its way", "unterwegs", "发送中"),
        "claimed": Words("on its way", "unterwegs", "发送中"),
        "delivered": Words("sent", "gesendet", "已发送"),
        "waiting": Words("waits to be offered again", "wird noch einmal versucht", "等待重试"),
        "held": Words("held", "zurückgestellt", "暂缓"),
        "refused": Words("not sent, for a reason", "bewusst nicht gesendet", "有理由不发送"),
        "held out": Words("not told, for comparison", "Vergleichsgruppe", "对照组"),
        "failed": Words("refused by the receiver", "vom Empfänger abgelehnt", "被接收方拒绝"),
        "expired": Words("too late to be useful", "zu spät", "已过期"),
        "suppressed": Words("stopped at the last check", "bei der letzten Prüfung gestoppt", "最后核查时拦下"),
        "unknown": Words("nobody knows whether it arrived", "unbekannt, ob es ankam", "不知道是否送达"),
    },
    "wrong": {
        "payment_failed": Words("a payment failed", "eine Zahlung schlug fehl", "付款失败"),
        "late": Words("late", "verspätet", "延误"),
        "promise_broken": Words("not there by the promised time", "nicht zur zugesagten Zeit da", "未按承诺时间送达"),
        "cancelled_by_company": Words("cancelled by us", "von uns storniert", "被我方取消"),
        "refunded": Words("refunded", "erstattet", "已退款"),
        "returned": Words("returned", "zurückgeschickt", "已退货"),
        "contacted": Words("the customer had to contact us", "der Kunde musste sich melden", "客户不得不联系我们"),
        "replaced": Words("the customer had to order again", "der Kunde musste neu bestellen", "客户不得不重新下单"),
    },
    "channel": {
        "webhook": Words("webhook", "Webhook", "Webhook"),
        "email": Words("e-mail", "E-Mail", "电子邮件"),
        "sms": Words("text message", "SMS", "短信"),
        "push": Words("push message", "Push-Nachricht", "推送"),
        "app": Words("message in the app", "Nachricht in der App", "应用内消息"),
    },
    "channel_state": {
        "ok": Words("sends", "sendet", "正常发送"),
        "closed": Words("sends", "sendet", "正常发送"),
        "open": Words("accepts nothing", "nimmt nichts an", "不接收"),
        "accepts nothing": Words("accepts nothing", "nimmt nichts an", "不接收"),
        "paused": Words("gone", "gibt es nicht mehr", "已不存在"),
        "gone": Words("gone", "gibt es nicht mehr", "已不存在"),
    },
}
KINDS: Mapping[str, Mapping[str, Words]] = MappingProxyType(_KINDS)
"""Kind of code -> code -> words."""
