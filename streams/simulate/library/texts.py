"""What customers write, invented: a grammar of openings, complaints and endings per topic and language.

Nobody's words: every sentence is put together from these parts.
"""

from __future__ import annotations

from itertools import product

TOPICS = ("question", "app", "payment", "delivery", "complaint", "technical", "praise", "prize", "meme", "campaign")
_OPENINGS = {
    "en": ("", "Hi, ", "Good morning. ", "Hello team, "),
    "de": ("", "Hallo, ", "Guten Tag. ", "Liebes Team, "),
    "zh": ("", "你好, ", "您好. ", "客服, "),
}
_ENDINGS = {
    "en": ("", " Please help.", " Thanks.", " Waiting for an answer."),
    "de": ("", " Bitte helfen Sie mir.", " Danke.", " Ich warte auf Antwort."),
    "zh": ("", " 请帮忙.", " 谢谢.", " 等待回复."),
}
_MIDDLES: dict[str, dict[str, tuple[str, ...]]] = {
    "question": {
        "en": ("do you have this in blue?", "how do I change my address?", "which size fits a child of six?",
               "when does the store in town open?", "can I pay in two parts?"),
        "de": ("gibt es das auch in Blau?", "wie ändere ich meine Adresse?", "welche Größe passt einem Kind von sechs?",
               "wann öffnet das Geschäft in der Stadt?", "kann ich in zwei Teilen zahlen?"),
        "zh": ("这个有蓝色的吗?", "怎么修改我的地址?", "六岁的孩子穿多大?", "市里的店几点开门?", "可以分两次付款吗?"),
    },
    "app": {
        "en": ("the app closes as soon as I open the basket.", "since the update I only see a white screen.",
               "I cannot log in any more, it just spins.", "checkout crashes every single time."),
        "de": ("die App schließt sich, sobald ich den Warenkorb öffne.", "seit dem Update sehe ich nur Weiß.",
               "ich komme nicht mehr hinein, es dreht sich nur.", "die Kasse stürzt jedes Mal ab."),
        "zh": ("一打开购物车应用就闪退.", "更新以后只有白屏.", "登录不了, 一直转圈.", "结账每次都崩溃."),
    },
    "payment": {
        "en": ("my card was refused three times.", "the payment page says try later.",
               "I was charged but there is no order.",
               "paying does not work since this morning."),
        "de": ("meine Karte wurde dreimal abgelehnt.", "die Zahlungsseite sagt: später versuchen.",
               "abgebucht, aber keine Bestellung da.", "seit heute früh kann ich nicht bezahlen."),
        "zh": ("我的卡被拒了三次.", "付款页面说稍后再试.", "扣了钱却没有订单.", "从早上开始就付不了款."),
    },
    "delivery": {
        "en": ("where is my parcel? It was due yesterday.", "the tracking has not moved for two days.",
               "nobody came although I waited all day.", "still no delivery."),
        "de": ("wo bleibt mein Paket? Es sollte gestern kommen.", "die Sendung steht seit zwei Tagen still.",
               "ich habe den ganzen Tag gewartet, niemand kam.", "immer noch keine Lieferung."),
        "zh": ("我的包裹在哪里? 昨天就该到了.", "物流两天没有动了.", "等了一整天没有人来.", "还是没有送到."),
    },
    "complaint": {
        "en": ("I am really disappointed.", "this is not acceptable.", "worst service in years.",
               "you cancelled my order without asking."),
        "de": ("ich bin wirklich enttäuscht.", "so geht das nicht.", "der schlechteste Service seit Jahren.",
               "Sie haben meine Bestellung ungefragt storniert."),
        "zh": ("真的很失望.", "这不能接受.", "多年来最差的服务.", "没问我就取消了订单."),
    },
    "technical": {
        "en": ("the hub is offline, the light is red.", "the heating does not react any more.",
               "the device lost its connection."),
        "de": ("die Zentrale ist offline, das Licht ist rot.", "die Heizung reagiert nicht mehr.",
               "das Gerät hat die Verbindung verloren."),
        "zh": ("网关离线了, 红灯亮.", "暖气没有反应.", "设备断开连接了."),
    },
    "praise": {
        "en": ("just wanted to say: that was quick!", "great service, thank you all.",
               "the new app never fails me, love it."),
        "de": ("das ging ja schnell, super!", "toller Service, danke an alle.", "die neue App ist ein Traum."),
        "zh": ("太快了, 点赞!", "服务很好, 谢谢大家.", "新版应用太好用了."),
    },
    "prize": {
        "en": ("I want to take part in the prize draw.", "did I win the trip?", "my answer for the draw is seven."),
        "de": ("ich möchte am Gewinnspiel teilnehmen.", "habe ich die Reise gewonnen?", "meine Lösung lautet sieben."),
        "zh": ("我要参加抽奖.", "我中奖了吗?", "抽奖的答案是七."),
    },
    "meme": {
        "en": ("is your parcel duck lost again? Asking for a friend.", "error 404: duck not found, haha.",
               "my order crashed, my heart did not. Quack."),
        "de": ("ist die Paketente wieder verschwunden? Frage für einen Freund.",
               "Fehler 404: Ente nicht gefunden, haha."),
        "zh": ("快递鸭又丢了吗? 帮朋友问的.", "错误 404: 找不到鸭子, 哈哈."),
    },
    "campaign": {
        "en": ("is the offer valid for me too?", "the code from your mail, how long does it hold?"),
        "de": ("gilt das Angebot auch für mich?", "wie lange gilt der Code aus der Mail?"),
        "zh": ("优惠我也能用吗?", "邮件里的优惠码有效多久?"),
    },
}  # fmt: skip
LANGUAGES = tuple(_OPENINGS)


def texts(topic: str, language: str) -> list[str]:
    """Everything that is written about a topic in a language."""
    parts = product(_OPENINGS[language], _MIDDLES[topic][language], _ENDINGS[language])
    return [opening + middle + ending for opening, middle, ending in parts]
